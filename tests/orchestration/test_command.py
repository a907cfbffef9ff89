"""Advice after an error, and the errors that keep their traceback."""

import logging

import pytest

from headstart.errors import LineageError, SourceUnreachable
from headstart.orchestration.command import _without_traceback, advice


def record(error: Exception, message: str = "Finished in state Failed") -> logging.LogRecord:
    info = (type(error), error, None)
    return logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, message, (), info)


def test_the_advice_depends_on_the_error() -> None:
    assert advice(SourceUnreachable("no answer")).startswith("This may be temporary.")
    assert advice(LineageError("no commit")).startswith("Correct what the message names")
    assert advice(ValueError("a bug")).startswith("This is not an error that Headstart expects")


def test_errors_of_newer_code_are_recognised_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that updates its clone imports all modules again, so that each class exists twice."""
    base = type("HeadstartError", (Exception,), {})
    newer = type("DataError", (base,), {})("an image is damaged")
    assert advice(newer).startswith("Correct what the message names")
    assert not _without_traceback(record(newer))


def test_errors_that_are_not_ours_keep_their_traceback() -> None:
    kept = record(ValueError("a bug"))
    assert _without_traceback(kept)
    assert kept.exc_info is not None


def test_a_retry_is_logged_without_a_traceback() -> None:
    kept = record(SourceUnreachable("no answer"), "Retry 1/3 will start 30 seconds from now")
    assert _without_traceback(kept)
    assert kept.exc_info is None
