"""A run's refs: they stay here unless sending is set, the line about them is true, and old ones go."""

import time
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from projects import ROOT, run
from sections import section

from headstart.errors import LineageError
from headstart.repository import commits, old_runs
from headstart.repository.settings import SEND
from headstart.versions.provenance import keeping
from headstart.versions.registry import record, tracking, versions
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


def keep(run_id: str, **changes: object) -> list[str]:
    """Keep a run, and return the lines that report it."""
    said: list[str] = []
    keeping.keep_run(run_id, section("repository", **changes), said.append)
    return said


def test_refs_stay_here_unless_the_params_have_them_sent(repository: Path, run_id: str) -> None:
    origin = add_origin(repository)
    assert keep(run_id) == [
        f"refs/runs/{run_id} and refs/versions/headstart/1 kept in this clone alone. `git push origin "
        f"refs/runs/{run_id}` sends what others can use; repository.push_refs: true in params.yaml does so "
        "after each run"
    ]
    assert run(repository, "git", "ls-remote", "origin").stdout == ""
    run(repository, "git", "push", "--quiet", "origin", f"refs/runs/{run_id}")
    assert refs(origin) == [f"refs/runs/{run_id}"]


def test_a_number_of_a_database_of_ones_own_is_not_sent(repository: Path, run_id: str) -> None:
    origin = add_origin(repository)
    assert keep(run_id, push_refs=True) == [
        f"refs/runs/{run_id} sent to git remote origin; refs/versions/headstart/1 kept in this clone"
    ]
    assert refs(origin) == [f"refs/runs/{run_id}"]
    assert refs(repository) == [f"refs/runs/{run_id}", "refs/versions/headstart/1"]


def test_a_number_that_a_server_gave_is_sent(
    repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = add_origin(repository)
    monkeypatch.setattr(tracking, "is_shared", lambda: True)
    monkeypatch.setenv(SEND, "1")  # as for a worker
    assert keep(run_id) == [f"refs/runs/{run_id} and refs/versions/headstart/1 sent to git remote origin"]
    assert refs(origin) == refs(repository)


def test_nothing_is_sent_to_a_remote_that_is_gone(repository: Path, run_id: str) -> None:
    add_origin(repository).rename(repository.parent / "moved")
    kept, left = keep(run_id, push_refs=True)
    assert kept.startswith(
        f"refs/runs/{run_id} and refs/versions/headstart/1 kept in this clone alone: git push: "
    )
    assert left.startswith("the refs of runs older than 90 days are left for the next run: git ls-remote: ")


@pytest.mark.parametrize("sends", [False, True])
def test_a_clone_without_a_remote_keeps_both(repository: Path, run_id: str, sends: bool) -> None:
    [said] = keep(run_id, push_refs=sends)
    assert said.endswith("kept in this clone; there is no git remote")
    assert "sent" not in said


def keep_earlier(monkeypatch: pytest.MonkeyPatch, run: str, days: int) -> None:
    """Keep a run as it would have been some days ago."""
    with monkeypatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", f"{time.time() - days * 86400:.0f} +0000")
        commits.keep_run(run)


def test_runs_that_made_no_version_are_forgotten_in_time(
    repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tracking.connect()
    registered, champion = (str(client.create_run("0").info.run_id) for _ in range(2))
    client.create_model_version("headstart", "runs:/x/model", registered, tags={versions.LOCK_TAG: "1"})
    client.set_tag(champion, f"headstart.{versions.CHAMPION_TAG}", "yes")  # its version was deleted
    for name in ("failed", "other", registered, champion, "elsewhere"):
        keep_earlier(monkeypatch, name, days=91)
    keep_earlier(monkeypatch, "younger", days=89)
    commits.name_version("elsewhere", "headstart", "7")  # a version of another database
    origin = add_origin(repository)
    run(repository, "git", "push", "--quiet", "origin", "refs/runs/failed")
    monkeypatch.setattr(old_runs, "MOST", 1)
    removed = "removed the refs of runs older than 90 days that made no version: 1 in this clone"
    assert [keep(run_id)[1:] for _ in range(3)] == [[removed], [removed], []]
    left = ("elsewhere", "younger", registered, champion, run_id)
    named = {"refs/versions/headstart/1", "refs/versions/headstart/7"}
    assert set(refs(repository)) == {f"refs/runs/{name}" for name in left} | named
    assert refs(origin) == ["refs/runs/failed"]  # refs are not sent, so the remote is left alone


def test_a_run_of_another_database_stays_on_the_remote_for_whoever_made_it(
    repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This clone has fetched it, and named another; both are older than runs are kept."""
    origin = add_origin(repository)
    client = tracking.connect()
    long_ago = int((time.time() - 91 * 86400) * 1000)
    named = str(client.create_run("0", long_ago).info.run_id)
    for name in ("theirs", named):
        keep_earlier(monkeypatch, name, days=91)
    run(repository, "git", "push", "--quiet", "origin", "refs/runs/*")
    commits.name_version(named, "headstart", "9")
    keep(run_id, push_refs=True)
    assert {f"refs/runs/{name}" for name in ("theirs", named)} <= set(refs(origin))
    assert "refs/runs/theirs" not in refs(repository)


def test_a_server_that_fails_while_refs_are_removed_is_only_reported(
    repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_earlier(monkeypatch, "failed", days=91)

    def fail(client: object) -> None:
        raise MlflowException("database is locked")

    monkeypatch.setattr(record, "all_versions", fail)
    said = keep(run_id)[-1]
    assert said.startswith("the refs of runs older than 90 days are left for the next run: ")
    assert "database is locked" in said
    assert "refs/runs/failed" in refs(repository)


def test_runs_that_were_sent_are_forgotten_on_the_remote_too(
    repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of other clones, if the tracking server knows them."""
    origin = add_origin(repository)
    client = tracking.connect()
    long_ago = int((time.time() - 91 * 86400) * 1000)
    theirs, used, named, ours = (str(client.create_run("0", long_ago).info.run_id) for _ in range(4))
    recent = str(client.create_run("0").info.run_id)
    client.create_model_version("headstart", "runs:/x/model", used, tags={versions.LOCK_TAG: "2"})
    for name in ("unknown", theirs, used, named, recent):
        commits.keep_run(name)
    commits.name_version(named, "theirs", "1")
    run(repository, "git", "push", "--quiet", "origin", "refs/runs/*", "refs/versions/*")
    for ref in refs(repository):
        run(repository, "git", "update-ref", "-d", ref)
    keep_earlier(monkeypatch, ours, days=91)
    run(repository, "git", "push", "--quiet", "origin", f"refs/runs/{ours}")
    _, said = keep(run_id, push_refs=True)
    assert said == (
        "removed the refs of runs older than 90 days that made no version: 2 on git remote origin, 1 in this "
        "clone"
    )
    kept = {f"refs/runs/{name}" for name in ("unknown", used, named, recent, run_id)}
    assert set(refs(origin)) == {*kept, "refs/versions/theirs/1"}
    assert len(keep(run_id, push_refs=True)) == 1


def test_dvc_sends_nothing_beyond_this_machine_before_it_is_asked_to() -> None:
    config = ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    addresses = [value for part in config.sections() for key, value in config[part].items() if key == "url"]
    assert addresses == ["~/.local/share/headstart/dvc-remote"]


def test_a_ref_of_another_version_is_never_overwritten(repository: Path, run_id: str) -> None:
    keep(run_id)
    ref = "refs/versions/headstart/1"
    assert ref in keep(run_id)[0]  # of the same run: renewed
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
    keep(made)
    assert commits.run_of_version("headstart", "1") == "old-1"
    assert commits.run_of_version("headstart", "3") == made
