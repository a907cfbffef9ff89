"""Lists of runs show what came of each run, and lose no name that it had."""

import pytest

from headstart.versions.release.run_name import Came, own_name, run_name


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
def test_the_name_of_a_run_starts_with_its_outcome(verdict: str, came: Came, name: str) -> None:
    assert run_name("7", verdict, "teal-cuckoo", came) == name
    assert own_name(name) == "teal-cuckoo"
    assert run_name("8", "passed", name) == "version 8 passed (teal-cuckoo)"


def test_a_name_given_by_a_person_is_kept_whole() -> None:
    own = "new camera (line 2)"
    name = run_name("7", "failed", own)
    assert name == f"version 7 did not pass ({own})"
    assert run_name("8", "passed", name) == f"version 8 passed ({own})"
