"""A training whose version did not pass looks different in Prefect's lists from one whose version passed."""

from typing import Any

from prefect.client.schemas.objects import TERMINAL_STATES, State, StateType

from headstart.orchestration import outcome
from headstart.orchestration.command import STATUS
from headstart.versions.registry.versions import VERDICTS, Registered
from headstart.versions.release.run_name import Came

VERSION = Registered("m", "7", ("challenger",), "r", True, True)


def ended(verdict: str, came: Came) -> State[dict[str, Any]]:
    return outcome.state_of(VERSION, None, verdict, "version 7", came)


def test_only_a_version_that_passed_is_green_and_none_is_a_failure() -> None:
    states = {verdict: ended(verdict, "judged") for verdict in VERDICTS}
    assert [states[verdict].name for verdict in VERDICTS] == ["Completed", "Inconclusive", "Rejected"]
    assert [state.type for state in states.values() if state.is_completed()] == [StateType.COMPLETED]
    assert all(state.type in TERMINAL_STATES and not state.is_failed() for state in states.values())
    assert {state.message for state in states.values()} == {"version 7"}
    assert set(STATUS) == {state.name for state in states.values() if not state.is_completed()}


def test_the_result_of_a_run_is_in_its_state() -> None:
    results = [ended(verdict, "judged").result(raise_on_failure=False) for verdict in VERDICTS]
    assert [result["state"] for result in results] == ["passed", "inconclusive", "rejected"]
    assert [result["verdict"] for result in results] == list(VERDICTS)
    unchanged = ended("failed", "unchanged")
    assert (unchanged.name, unchanged.is_completed()) == ("Unchanged", True)
    result = unchanged.result()
    assert (result["state"], result["verdict"], result["version"]) == ("unchanged", "failed", "7")
