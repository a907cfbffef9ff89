"""A run's refs: the line that reports them only names a remote for refs that were sent there."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from projects import run

from headstart.errors import LineageError
from headstart.repository import commits
from headstart.versions.provenance import keeping
from headstart.versions.registry import tracking
from headstart.versions.release import registration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tracking database, and the run in it that made version 1 of `headstart`."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('server')}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        client = tracking.connect()
    made = str(client.create_run("0").info.run_id)
    client.create_registered_model("headstart")
    client.create_model_version("headstart", f"runs:/{made}/model", made)
    return uri, made


@pytest.fixture
def run_id(repository: Path, server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    uri, made = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return made


def add_origin(root: Path) -> Path:
    origin = root.parent / "origin"
    run(root.parent, "git", "init", "--quiet", "--bare", "origin")
    run(root, "git", "remote", "add", "origin", str(origin))
    return origin


def refs(root: Path) -> list[str]:
    return run(
        root, "git", "for-each-ref", "--format=%(refname)", "refs/runs", "refs/versions"
    ).stdout.split()


def test_a_number_of_a_database_of_ones_own_is_not_sent(repository: Path, run_id: str) -> None:
    origin = add_origin(repository)
    said = keeping.keep_run(run_id)
    assert said == (
        f"refs/runs/{run_id} sent to git remote origin; refs/versions/headstart/1 kept in this clone"
    )
    assert refs(origin) == [f"refs/runs/{run_id}"]
    assert refs(repository) == [f"refs/runs/{run_id}", "refs/versions/headstart/1"]


def test_a_number_that_a_server_gave_is_sent(
    repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = add_origin(repository)
    monkeypatch.setattr(tracking, "is_shared", lambda: True)
    said = keeping.keep_run(run_id)
    assert said == f"refs/runs/{run_id} and refs/versions/headstart/1 sent to git remote origin"
    assert refs(origin) == refs(repository)


def test_nothing_is_sent_to_a_remote_that_is_gone(repository: Path, run_id: str) -> None:
    add_origin(repository).rename(repository.parent / "moved")
    said = keeping.keep_run(run_id)
    assert said.startswith(
        f"refs/runs/{run_id} and refs/versions/headstart/1 kept in this clone alone: git push: "
    )


def test_a_clone_without_a_remote_keeps_both(repository: Path, run_id: str) -> None:
    said = keeping.keep_run(run_id)
    assert said.endswith("kept in this clone; there is no git remote")
    assert "sent" not in said


def test_a_ref_of_another_version_is_never_overwritten(repository: Path, run_id: str) -> None:
    keeping.keep_run(run_id)
    ref = "refs/versions/headstart/1"
    assert ref in keeping.keep_run(run_id)  # of the same run: renewed
    commits.keep_run("another")
    with pytest.raises(LineageError, match=f"{ref} names run {run_id}.*not run another.*git update-ref -d"):
        commits.name_version("another", "headstart", "1")
    assert commits.run_of_version("headstart", "1") == run_id


def test_a_number_that_git_has_for_another_version_is_left_out(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("1", "2"):
        commits.keep_run(f"old-{number}")
        commits.name_version(f"old-{number}", "headstart", number)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new.db")
    client = tracking.connect()
    made = str(client.create_run("0").info.run_id)
    model = SimpleNamespace(model_uri=f"runs:/{made}/model", model_id=None)
    said: list[str] = []
    version = registration._number(client, "headstart", made, model, {}, said.append)  # type: ignore[arg-type]
    assert str(version.version) == "3"
    assert [str(found.version) for found in client.search_model_versions("name = 'headstart'")] == ["3"]
    assert [line.partition(" names ")[::2] for line in said] == [
        (f"refs/versions/headstart/{n}", f"run old-{n}, of another tracking database: number {n} is left out")
        for n in (1, 2)
    ]
    keeping.keep_run(made)
    assert commits.run_of_version("headstart", "1") == "old-1"
    assert commits.run_of_version("headstart", "3") == made
