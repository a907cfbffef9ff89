"""`headstart gc` goes on, or says what stops it, if the run of a version was removed for good."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from mlflow.tracking import MlflowClient
from projects import GIT, run

from headstart.errors import LineageError
from headstart.repository import commits
from headstart.versions.provenance import collection
from headstart.versions.registry import tracking, versions


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    run(root, "git", "init", "--quiet")
    Repo.init(str(root)).close()
    run(root, *GIT, "commit", "--quiet", "--message", "a test's state")
    monkeypatch.chdir(root)
    return root


def register(client: MlflowClient, number: int, with_record: bool) -> str:
    run_id = str(client.create_run("0").info.run_id)
    if with_record:
        client.log_text(run_id, "stages: {}\n", "record/dvc.lock")
    client.create_model_version("headstart", "runs:/x/model", run_id, tags={versions.LOCK_TAG: str(number)})
    return run_id


def collect(**settings: bool) -> collection.Collected:
    options = {"delete": False, "without_versions": False, "without_lists": False} | settings
    return collection.collect_garbage(days=7, remote=None, projects=[], **options)


def test_a_version_whose_run_is_gone_is_named(project: Path) -> None:
    client = tracking.connect()
    client.create_registered_model("headstart")
    register(client, 1, with_record=True)
    gone = register(client, 2, with_record=True)
    client._tracking_client.store._hard_delete_run(gone)  # as `mlflow gc` does
    assert collect().lost == ("models:/headstart/2",)
    with pytest.raises(LineageError, match="models:/headstart/2 were removed for good.*--without-lists"):
        collect(delete=True)
    assert collect(delete=True, without_lists=True).deleted
    commits.keep_run(gone)
    commits.name_version(gone, "headstart", "2")  # what it needs is known from git
    found = collect(delete=True)
    assert found.lost == ()
    assert "refs/versions/headstart/2" in found.kept
