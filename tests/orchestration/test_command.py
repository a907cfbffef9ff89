"""Exit status of a flow as a command, advice after an error, and the errors that keep their traceback."""

import logging

import pytest
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled, Completed, Failed

from headstart.errors import LineageError, SourceUnreachable
from headstart.orchestration.command import _without_traceback, advice, run_as_command


def record(error: Exception, message: str = "Finished in state Failed") -> logging.LogRecord:
    info = (type(error), error, None)
    return logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, message, (), info)


def status_of(ended: object) -> int | str | None:
    """Exit status of a command whose flow ends in this state."""
    with pytest.raises(SystemExit) as found:
        run_as_command(lambda: ended)
    return found.value.code


def test_a_version_that_did_not_pass_ends_the_command_as_the_gate_does() -> None:
    assert status_of(Cancelled(name="Inconclusive", message="too few images")) == 3
    assert status_of(Cancelled(name="Rejected", message="accuracy 0.3")) == 4
    run_as_command(lambda: Completed(data="done"))
    run_as_command(lambda: Completed(name="Inconclusive", data="monitoring found too few images"))


def test_only_a_flow_that_did_not_fail_shows_its_result() -> None:
    shown: list[tuple[str, int]] = []

    def show(result: str, status: int) -> None:
        shown.append((result, status))

    run_as_command(lambda: Completed(data="passed"), show)
    for ended in (Cancelled(name="Rejected", data="rejected"), Failed(data=LineageError("no commit"))):
        with pytest.raises(SystemExit):
            run_as_command(lambda ended=ended: ended, show)  # type: ignore[misc]
    assert shown == [("passed", 0), ("rejected", 4)]


def test_a_failed_flow_ends_the_command_with_its_own_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(Failed(data=LineageError("no commit"))) == 1
    assert "headstart run: error: no commit" in capsys.readouterr().err
    with pytest.raises(ValueError, match="a bug"):
        run_as_command(lambda: Failed(data=ValueError("a bug")))
    with pytest.raises(CancelledRun):
        run_as_command(lambda: Cancelled(message="by a person"))


def test_a_run_that_returned_a_cancelled_state_leaves_no_traceback() -> None:
    assert not _without_traceback(record(CancelledRun("FAIL"), "Engine execution exited"))


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
