"""The guard's own check starts the promotion flow only if there is something to judge; no error ends it."""

import logging
import threading
from collections.abc import Callable

import pytest

from headstart.orchestration.guard_check import check_regularly


class Checks:
    """Answers of one check each; the last one stops the loop."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.left = list(answers)
        self.stop = threading.Event()
        self.started = 0

    def differs(self) -> bool:
        answer = self.left.pop(0)
        if not self.left:
            self.stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def start(self) -> str | None:
        self.started += 1
        return "run"

    def run(self, start: Callable[[], str | None] | None = None) -> None:
        check_regularly(self.differs, start or self.start, 0.001, self.stop)
        assert not self.left


def test_nothing_is_started_while_alias_and_journal_agree(caplog: pytest.LogCaptureFixture) -> None:
    checks = Checks(False, False, False)
    checks.run()
    assert checks.started == 0
    assert not caplog.records


def test_each_difference_is_judged_and_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    checks = Checks(False, True, False, True)
    checks.run()
    assert checks.started == 2
    assert caplog.text.count("flow run run judges it") == 2
    caplog.clear()
    Checks(True).run(start=lambda: None)  # a run of the flow is at it already
    assert not caplog.records


def test_a_server_that_does_not_answer_is_logged_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    checks = Checks(OSError("http://user:hunter2@mlflow/ does not answer"), True)
    checks.run()
    assert checks.started == 1
    assert "does not answer" in caplog.text
    assert "hunter2" not in caplog.text

    def refuse() -> str | None:
        raise OSError("no Prefect")

    Checks(True, True).run(start=refuse)
    assert caplog.text.count("no Prefect") == 2
