"""One notation for a model, and the messages for one that does not exist."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError
from headstart.versions.registry import record, tracking, versions
from headstart.versions.registry.uri import ModelUri
from headstart.versions.release import journal

RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A registry with two versions of `headstart`; the first is champion."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = tracking.connect()
    client.create_registered_model("headstart")
    run = client.create_run("0").info.run_id
    for _ in range(2):
        client.create_model_version("headstart", f"runs:/{run}/model", run, tags={versions.LOCK_TAG: "a"})
    client.set_registered_model_alias("headstart", "champion", "1")
    return client


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        ("models:/headstart/3", "models:/headstart/3"),
        ("headstart/3", "models:/headstart/3"),
        ("models:/headstart@champion", "models:/headstart@champion"),
        ("headstart@champion", "models:/headstart@champion"),
        ("my model@champion", "models:/my model@champion"),
        (f"runs:/{RUN}", f"runs:/{RUN}"),
        (RUN, f"runs:/{RUN}"),
        (f"runs:/{RUN}/model", f"runs:/{RUN}/model"),
        (f"models:/m-{RUN}", f"models:/m-{RUN}"),
    ],
)
def test_the_notation_is_read_with_and_without_its_scheme(typed: str, full: str) -> None:
    assert str(ModelUri.parse(typed)) == full


@pytest.mark.parametrize("typed", ["headstart", "models:/headstart", "models:/a/b/c", "runs:/1", "a@b@", ""])
def test_something_else_says_what_to_type(typed: str) -> None:
    with pytest.raises(TrackingError, match="expected models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN"):
        ModelUri.parse(typed)


def test_an_alias_is_resolved_once(client: MlflowClient) -> None:
    assert versions.resolve("headstart@champion") == "models:/headstart/1"
    assert versions.named("headstart@champion", "headstart") == ("headstart", "1")
    assert versions.resolve(f"runs:/{RUN}") == f"runs:/{RUN}"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "headstart@challenger",
            r"there is no models:/headstart@challenger; there are models:/headstart@champion",
        ),
        (
            "headstart/7",
            r"there is no models:/headstart/7; there are .*models:/headstart/2, models:/headstart/1",
        ),
        ("haedstart@champion", "there is no models:/haedstart@champion; registered models: headstart"),
    ],
)
def test_a_version_that_does_not_exist_is_said_with_those_that_do(
    client: MlflowClient, typed: str, message: str
) -> None:
    with pytest.raises(TrackingError, match=message):
        versions.resolve(typed)


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_questions_write_nothing(client: MlflowClient, tmp_path: Path) -> None:
    """The queries of history, gc without --delete, show and resolve leave the server unchanged."""
    before = dump(tmp_path / "mlflow.db")
    assert set(record.runs_to_keep().values()) <= {"models:/headstart/1", "models:/headstart/2"}
    assert journal.read(client, "headstart").entries == ()
    versions.resolve("headstart@champion")
    versions.champion(client, "headstart")
    versions.any_champion(client, "headstart")
    assert dump(tmp_path / "mlflow.db") == before

    record.mark_champions()
    assert dump(tmp_path / "mlflow.db") != before
