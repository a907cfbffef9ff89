"""A training whose version did not pass looks different in Prefect's lists from one whose version passed."""

from prefect.client.schemas.objects import TERMINAL_STATES, StateType

from headstart.orchestration import outcome
from headstart.orchestration.command import STATUS
from headstart.versions.registry.versions import VERDICTS


def test_only_a_version_that_passed_is_green_and_none_is_a_failure() -> None:
    states = {verdict: outcome.state_of(verdict, "version 7") for verdict in VERDICTS}
    assert [states[verdict].name for verdict in VERDICTS] == ["Completed", "Inconclusive", "Rejected"]
    assert [state.type for state in states.values() if state.is_completed()] == [StateType.COMPLETED]
    assert all(state.type in TERMINAL_STATES and not state.is_failed() for state in states.values())
    assert {state.message for state in states.values()} == {"version 7"}
    assert set(STATUS) == {state.name for state in states.values() if not state.is_completed()}
