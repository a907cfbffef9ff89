"""The tracking server: messages never show its password, and each thread asks its own project's."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError, TrackingUnreachable, without_password
from headstart.versions.registry import shared, tracking


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:pass@host:5000/x", "http://host:5000/x"),
        ("postgresql+psycopg2://ann:p@ss@host/db", "postgresql+psycopg2://host/db"),
        (
            "API request to http://ann:pass@host/api failed with ann@home",
            "API request to http://host/api failed with ann@home",
        ),
        ("sqlite:////folder/a@b.db", "sqlite:////folder/a@b.db"),
    ],
)
def test_addresses_lose_user_and_password(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_errors_of_the_server_lose_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@127.0.0.1:9")
    with pytest.raises(TrackingUnreachable, match="MLflow does not answer at http://127.0.0.1:9") as caught:
        tracking.connect()
    assert "secret" not in str(caught.value)
    with pytest.raises(TrackingError) as caught, tracking.translated("set a tag"):
        raise MlflowException("API request to http://ann:secret@127.0.0.1:9/api failed")
    assert "secret" not in str(caught.value)


def test_each_thread_uses_the_database_of_its_own_project(tmp_path: Path) -> None:
    """MLflow's settings hold for the whole process, and are what they were afterwards."""
    before = Path.cwd()

    def ask(root: Path) -> set[str]:
        found = set()
        for _ in range(20):
            with tracking.in_project(root):
                found |= {tracking.tracking_uri(), mlflow.get_tracking_uri()}
                time.sleep(0.001)
                found |= {tracking.tracking_uri(), mlflow.get_tracking_uri()}
                with tracking.in_project(root):
                    found.add(tracking.tracking_uri())
            assert Path.cwd() == before
        return found

    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        root.mkdir()
    with ThreadPoolExecutor(2) as pool:
        for root, found in zip(roots, pool.map(ask, roots), strict=True):
            assert found == {f"sqlite:///{root}/mlflow/mlflow.db"}
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & set(os.environ)
    assert not mlflow.tracking.is_tracking_uri_set()


def test_the_experiment_of_shared_files_says_what_it_keeps(tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    kept = shared.keep(client, "lock 0123", "requirements.lock 0123", {})
    found = client.get_experiment_by_name(shared.EXPERIMENT)
    assert found is not None
    assert "Deleting this experiment" in found.tags[tracking.NOTE_TAG]
    assert client.get_run(kept.run_id).info.run_name == "requirements.lock 0123"
