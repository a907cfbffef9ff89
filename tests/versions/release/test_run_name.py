"""Lists of runs show what came of each run, and lose no name that it had."""

import pytest

from headstart.versions.release.run_name import run_name


@pytest.mark.parametrize(
    ("verdict", "is_unchanged", "name"),
    [
        ("passed", False, "version 7 passed (teal-cuckoo)"),
        ("failed", False, "version 7 did not pass (teal-cuckoo)"),
        ("inconclusive", False, "version 7 is inconclusive (teal-cuckoo)"),
        ("passed", True, "version 7 is unchanged (teal-cuckoo)"),
        ("failed", True, "version 7 is unchanged and did not pass (teal-cuckoo)"),
        ("inconclusive", True, "version 7 is unchanged and is inconclusive (teal-cuckoo)"),
    ],
)
def test_the_name_of_a_run_starts_with_its_outcome(verdict: str, is_unchanged: bool, name: str) -> None:
    assert run_name("7", verdict, "teal-cuckoo", is_unchanged=is_unchanged) == name
    again = run_name("8", "passed", name)
    assert again == "version 8 passed (teal-cuckoo)"


def test_a_name_given_by_a_person_is_kept_whole() -> None:
    own = "new camera (line 2)"
    name = run_name("7", "failed", own)
    assert name == f"version 7 did not pass ({own})"
    assert run_name("8", "passed", name) == f"version 8 passed ({own})"
