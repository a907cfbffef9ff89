"""A placed stage: each phase before it runs has its own time limit and message."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed, Pending, Running, Scheduled

from headstart.errors import StageError, WorkerLost
from headstart.orchestration import placement


class Client:
    """Returns one state after the other, and then the last one for good."""

    def __init__(self, *states: State[Any] | None) -> None:
        self._states = list(states)

    def read_flow_run(self, run: object) -> SimpleNamespace:
        return SimpleNamespace(state=self._states.pop(0) if len(self._states) > 1 else self._states[0])


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one second pass per poll; a phase may last 3."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(placement.time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(placement.time, "sleep", lambda duration: None)
    monkeypatch.setenv("HEADSTART_PLACEMENT_SECONDS", "3")


def wait(*states: State[Any] | None) -> None:
    placement._wait(Client(*states), uuid4(), "train", "stage/gpu")  # type: ignore[arg-type]


def test_no_worker_takes_it() -> None:
    with pytest.raises(StageError, match="no worker took stage/gpu in 3 s; start one"):
        wait(Scheduled())


def test_a_state_that_is_unknown_runs_out_of_time_too() -> None:
    with pytest.raises(StageError, match="no worker took stage/gpu"):
        wait(None)


def test_a_worker_that_took_it_and_does_not_start_it_is_another_message() -> None:
    with pytest.raises(StageError, match="a worker took stage/gpu and did not start it in 3 s; see its log"):
        wait(Scheduled(), Pending())


def test_each_phase_has_its_own_time() -> None:
    wait(Scheduled(), Scheduled(), Pending(), Pending(), Running(), *[Running()] * 20, Completed())


def test_a_failure_and_a_lost_worker_are_told_apart() -> None:
    with pytest.raises(StageError, match="ended as Failed: out of memory"):
        wait(Running(), Failed(message="out of memory"))
    with pytest.raises(WorkerLost, match="its worker is gone"):
        wait(Running(), Crashed(message="no heartbeat"))
