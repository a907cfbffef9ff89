"""A worker's clone of a project that is in a folder of its repository: the worker is in the same folder."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from projects import GIT, run

from headstart.orchestration import services


def test_a_worker_is_in_the_projects_folder_of_its_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "git"
    root = top / "parts" / "product"
    root.mkdir(parents=True)
    run(top, "git", "init", "--quiet")
    Repo.init(str(root), subdir=True).close()
    run(root, "git", "add", "--all", ".")
    run(root, *GIT, "commit", "--quiet", "--message", "a test's state")
    monkeypatch.chdir(root)
    own = services._clone("cpu")
    assert own == root / services.FOLDER / "clones" / "cpu" / "parts" / "product"
    assert str(root / ".dvc" / "cache") in (own / ".dvc" / "config.local").read_text()
    assert services._clone("cpu") == own
