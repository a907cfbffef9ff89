"""A project's own database follows the project when it is moved, and parts from it when it is copied."""

import shutil
from pathlib import Path

import mlflow
import pytest

from headstart.versions.registry import tracking
from headstart.versions.release import experiment


def stored(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "mlflow" / "artifacts").rglob("*.txt"))


def enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(root)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it, for this process


def new_run(root: Path, name: str, patch: pytest.MonkeyPatch) -> str:
    """A run in a project's own database, with a file of this name."""
    enter(root, patch)
    run_id = experiment.open_run("own", {})
    tracking.keep_text(run_id, name, f"{name}.txt")
    return run_id


def text_of(run_id: str, name: str, folder: Path) -> str:
    tracking.connect()
    folder.mkdir()
    return Path(
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder)
    ).read_text()


def test_files_are_found_and_written_where_the_project_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, copy = (tmp_path / name for name in ("a project", "moved", "copy"))
    before.mkdir()
    first = new_run(before, "first", monkeypatch)
    client = tracking.connect()
    client.create_registered_model("headstart")
    client.create_model_version("headstart", client.get_run(first).info.artifact_uri, first)
    before.rename(after)
    enter(after, monkeypatch)
    assert text_of(first, "first.txt", tmp_path / "again") == "first"
    client = tracking.connect()
    version = client.get_model_version_download_uri("headstart", "1")
    assert version == client.get_run(first).info.artifact_uri
    assert version.startswith(after.as_uri())
    new_run(after, "second", monkeypatch)
    assert not before.exists()
    assert stored(after) == ["first.txt", "second.txt"]
    shutil.copytree(after, copy)
    new_run(copy, "third", monkeypatch)
    assert stored(copy) == ["first.txt", "second.txt", "third.txt"]
    assert stored(after) == ["first.txt", "second.txt"]
    (after / "mlflow" / "artifacts").rename(tmp_path / "gone")  # the copy needs nothing of the original
    enter(copy, monkeypatch)
    assert text_of(first, "first.txt", tmp_path / "once more") == "first"
