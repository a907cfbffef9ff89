"""A worker only writes in its own clone, and only the files that may be sent to it."""

from pathlib import Path

import pytest
from projects import commit, draw_images, dvc, make_repository, make_tree, run

from headstart.errors import LineageError
from headstart.repository import worker_clone


@pytest.mark.parametrize(
    "name", ["src/headstart/params.py", "../data.dvc", "/data.dvc", "artifacts/../../x.dvc"]
)
def test_no_other_file_is_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LineageError, match=r"only params\.yaml, dvc\.lock and \.dvc files"):
        worker_clone.take("0" * 40, {"params.yaml": "", name: ""})
    assert list(tmp_path.iterdir()) == []


def test_a_tree_that_is_no_workers_clone_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSTART_CLONE", raising=False)
    with pytest.raises(LineageError, match="HEADSTART_CLONE is None"):
        worker_clone.check_own()
    monkeypatch.setenv("HEADSTART_CLONE", str(tmp_path / "another"))
    with pytest.raises(LineageError, match="another"):
        worker_clone.check_own()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("HEADSTART_CLONE", str(tmp_path / "link"))
    worker_clone.check_own()


@pytest.fixture(scope="module")
def made(common: Path) -> tuple[Path, Path]:
    """The project of a team, and a worker's clone of it."""
    team, worker = common / "team", common / "worker"
    make_tree(team)
    draw_images(team / "data", {"dark": 2, "light": 2})
    make_repository(team)
    dvc(team, "push", "--quiet")
    run(common, "git", "clone", "--quiet", str(team), str(worker))
    return team, worker


@pytest.fixture
def clones(made: tuple[Path, Path], in_common: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same, with the worker's clone as the working folder."""
    monkeypatch.chdir(made[1])
    return made


@pytest.mark.parametrize(
    ("of_team", "of_worker", "expected"),
    [
        ((None, None), "worker", "worker"),  # results are nobody's but the worker's
        (("team", "team"), "worker", "worker"),
        (("team", None), "worker", "worker"),  # they leave the repository
        ((None, "team"), "worker", "team"),
        (("team", "newer"), "worker", "newer"),
        ((None, "team"), None, "team"),
        ((None, None), None, None),
    ],
)
def test_results_of_the_last_run_stay_unless_the_branch_brings_new_ones(
    clones: tuple[Path, Path],
    of_team: tuple[str | None, str | None],
    of_worker: str | None,
    expected: str | None,
) -> None:
    team, worker = clones
    before, after = of_team
    _lock(team, before)
    commit(team)
    worker_clone.follow("main")
    _lock(worker, of_worker)
    _lock(team, after)
    commit(team)
    worker_clone.follow("main")
    assert (worker / "dvc.lock").exists() == (expected is not None)
    if expected is not None:
        assert f"# {expected}" in (worker / "dvc.lock").read_text()


def _lock(root: Path, text: str | None) -> None:
    """A dvc.lock without stages, marked with a text; none if there is no text."""
    if text is None:
        (root / "dvc.lock").unlink(missing_ok=True)
    else:
        (root / "dvc.lock").write_text(f"# {text}\nschema: '2.0'\nstages: {{}}\n")
