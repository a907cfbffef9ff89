"""A version's page says who is judging it, and why the gate stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from headstart.errors import LineageError
from headstart.versions.registry import tracking
from headstart.versions.release.announcement import GATE_TAG, PENDING, announced


@pytest.fixture(scope="module")
def uri(common: Path) -> str:
    tracking._make_database(common / "mlflow.db")
    return f"sqlite:///{common}/mlflow.db"


@pytest.fixture
def client(uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = tracking.connect()
    client.create_registered_model("own")
    run = client.create_run("0")
    for verdict in (PENDING, "passed"):
        tags = {GATE_TAG: verdict}
        client.create_model_version("own", "file:///none", run.info.run_id, tags=tags, description="first")
    yield client
    client.delete_registered_model("own")


def page(client: MlflowClient, number: str) -> str:
    return str(client.get_model_version("own", number).description)


def test_a_version_is_shown_as_being_judged(client: MlflowClient) -> None:
    with announced("own", "1"):
        said = page(client, "1")
    assert said.startswith("Being judged by the gate since 20")
    assert "by process " in said
    assert "If that process has ended" in said
    assert "`headstart gate models:/own/1`" in said


def test_the_reason_stands_there_if_the_gate_stopped(client: MlflowClient) -> None:
    with pytest.raises(LineageError), announced("own", "1"):
        raise LineageError("its images are gone")
    said = page(client, "1")
    assert said.startswith("Not judged. The gate stopped at 20")
    assert "LineageError: its images are gone" in said
    assert "`headstart register`" in said


def test_the_card_of_a_judged_version_stays(client: MlflowClient) -> None:
    with announced("own", "2"):
        assert page(client, "2") == "first"
    with pytest.raises(LineageError), announced("own", "2"):
        raise LineageError("its images are gone")
    assert page(client, "2") == "first"
