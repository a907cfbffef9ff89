"""A training whose version did not pass looks different in Prefect's lists from one whose version passed."""

import pytest
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


@pytest.mark.parametrize(
    ("verdict", "came", "name"),
    [
        ("passed", "judged", "version 7 passed (teal-cuckoo)"),
        ("failed", "judged", "version 7 did not pass (teal-cuckoo)"),
        ("inconclusive", "judged", "version 7 is inconclusive (teal-cuckoo)"),
        ("passed", "found", "version 7 was registered before (teal-cuckoo)"),
        ("failed", "found", "version 7 was registered before and did not pass (teal-cuckoo)"),
        ("passed", "unchanged", "version 7 is unchanged (teal-cuckoo)"),
        ("failed", "unchanged", "version 7 is unchanged and did not pass (teal-cuckoo)"),
        ("inconclusive", "unchanged", "version 7 is unchanged and is inconclusive (teal-cuckoo)"),
    ],
)
def test_the_name_of_a_run_starts_with_its_outcome(verdict: str, came: outcome.Came, name: str) -> None:
    assert outcome.run_name("7", verdict, "teal-cuckoo", came) == name
    assert outcome.own_name(name) == "teal-cuckoo"
    assert outcome.run_name("8", "passed", name, "judged") == "version 8 passed (teal-cuckoo)"


def test_a_name_given_by_a_person_is_kept_whole() -> None:
    own = "new camera (line 2)"
    name = outcome.run_name("7", "failed", own, "judged")
    assert name == f"version 7 did not pass ({own})"
    assert outcome.run_name("8", "passed", name, "judged") == f"version 8 passed ({own})"
