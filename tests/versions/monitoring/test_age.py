"""The age of a version counts from its registration, by a given clock."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError
from headstart.versions.monitoring import age
from headstart.versions.monitoring.drift import Drift
from headstart.versions.monitoring.page import as_dict


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """When version 1 was registered, in seconds; it is not champion."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri, uri)
    client.create_registered_model("headstart")
    run = client.create_run("0").info.run_id
    version = client.create_model_version("headstart", "file:///none", run)
    return float(version.creation_timestamp) / 1000


def test_a_champion_is_old_after_more_days_than_allowed(registered: float) -> None:
    assert age.age_of_champion("headstart", 90) is None  # there is no champion
    assert age.age_of_champion("another", 90) is None
    MlflowClient().set_registered_model_alias("headstart", "champion", "1")
    assert age.age_of_champion("headstart", None) is None
    for days, is_old in ((0, False), (90, False), (90.01, True), (400, True)):
        found = age.age_of_champion("headstart", 90, registered + days * 86400)
        assert found is not None
        assert found.model == "models:/headstart/1"
        assert found.is_old is is_old
        assert f"{days:.1f} days ago" in found.sentence()
        assert ("older than monitor.max_age_days (90)" in found.sentence()) is is_old


def test_the_age_of_any_version_can_be_asked_and_of_none_that_is_missing(registered: float) -> None:
    assert age.age_of("models:/headstart/1", 1, registered + 3 * 86400).is_old
    with pytest.raises(TrackingError, match="headstart/2"):
        age.age_of("models:/headstart/2", 1)


def test_the_result_for_programs_has_the_age(registered: float) -> None:
    found = age.age_of("models:/headstart/1", 90, registered + 100 * 86400)
    drift = Drift("no drift", 0.01, 30, 40, 40, 40, 40, 0, (), (), ())
    document = as_dict("models:/headstart/1", "new", drift, found)
    assert document["age"]["days"] == pytest.approx(100)
    assert document["age"]["max_age_days"] == 90
    assert document["age"]["is_old"] is True
    assert as_dict("models:/headstart/1", "new", drift, None)["age"] is None
