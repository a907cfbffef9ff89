"""The table of versions has a row for each, whatever became of its run."""

from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from headstart.versions.registry import tracking
from headstart.versions.registry.listing import UNFINISHED, list_versions


def test_a_version_that_lost_its_run_is_a_row_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri, uri)
    client.create_registered_model("headstart")
    runs = [str(client.create_run("0").info.run_id) for _ in range(3)]
    for number, run_id in enumerate([*runs, None]):
        if run_id is not None:
            client.log_metric(run_id, "test/accuracy", number / 4)
        client.create_model_version("headstart", "file:///model", run_id)
    for run_id in runs[1:]:
        client.delete_run(run_id)
    client._tracking_client.store._hard_delete_run(runs[2])  # as `mlflow gc` does

    found = list_versions("headstart")
    assert found["version"].tolist() == [4, 3, 2, 1]
    assert found["run"].tolist() == [None, None, f"runs:/{runs[1]}", f"runs:/{runs[0]}"]
    pd.testing.assert_series_equal(
        found["accuracy"], pd.Series([None, None, 0.25, 0.0], dtype="float64", name="accuracy")
    )
    assert found["verdict"].tolist() == [UNFINISHED] * 4
    assert set(tracking.find_runs(client, [*runs, "none"], "metrics.`test/accuracy` > 0.1")) == {runs[1]}
