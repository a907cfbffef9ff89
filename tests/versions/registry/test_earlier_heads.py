"""Images that earlier heads saw: a purged ancestor is unknown, a server that fails is an error."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from headstart.errors import TrackingError
from headstart.versions.registry import recorded_images, tracking
from headstart.versions.registry.record import INIT_TAG

CHILD = SimpleNamespace(tags={INIT_TAG: "abc"})


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(name="headstart", version="1")
    monkeypatch.setattr(recorded_images, "head_of_version", lambda digest: found)


def fail(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def opened(source: str, folder: Path) -> None:
        with tracking.translated(f"fetch the record of {source}"):
            raise MlflowException("no run", error_code=code)

    monkeypatch.setattr(recorded_images, "open_record", opened)


@pytest.mark.usefixtures("parent")
def test_a_purged_run_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, RESOURCE_DOES_NOT_EXIST)
    found = recorded_images.earlier_heads(CHILD, tmp_path)  # type: ignore[arg-type]
    assert (found.heads, found.pixels, found.unknown) == (1, set(), "abc")


@pytest.mark.usefixtures("parent")
def test_a_server_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, TEMPORARILY_UNAVAILABLE)
    with pytest.raises(TrackingError, match="no run"):
        recorded_images.earlier_heads(CHILD, tmp_path)  # type: ignore[arg-type]
