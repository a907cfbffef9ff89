"""A damaged file of DVC is an error that names it and says how to get it back."""

from pathlib import Path

import pytest

from headstart.errors import LineageError
from headstart.repository import results

CONFLICT = "stages:\n<<<<<<< HEAD\n  train: {}\n=======\n  train: {cmd: x}\n>>>>>>> theirs\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFLICT, r"dvc.lock has conflict markers of a merge: keep one side \(`git checkout --ours"),
        ("stages: [\n", r"dvc.lock is not valid YAML in line \d+: .*`git checkout dvc.lock`"),
        ("", "dvc.lock is empty or damaged"),
    ],
)
def test_a_damaged_lock_is_named(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results.LOCK.write_text(text)
    with pytest.raises(LineageError, match=said):
        results.lock_digest()
