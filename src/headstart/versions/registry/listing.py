"""All registered versions of a model, as a table."""

from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from headstart.versions.registry import tracking
from headstart.versions.registry.versions import COMPLETE, GATE_TAG, STATE_TAG

DTYPES = {
    "version": "int64",
    "aliases": "object",
    "verdict": "object",
    "accuracy": "float64",
    "registered": "datetime64[ms, UTC]",
    "run": "object",
}
UNFINISHED = "registration was not finished"


def list_versions(name: str) -> pd.DataFrame:
    """One row per version of a model, the newest first; without rows if nothing is registered.

    The columns: `version`, its number; `aliases`, a tuple; `verdict` of the gate, `passed`, `inconclusive`,
    `failed`, `pending`, or `registration was not finished`; `accuracy` on the version's own test images;
    `registered`, a time in UTC; `run`, the address of its run's page, or `runs:/ID` if there is no server.
    A version without a run, or whose run was removed for good, has NaN as `accuracy` and None as `run`.

    Raises:
        TrackingError: MLflow is unreachable.
    """
    client = tracking.connect()
    with tracking.translated(f"list the versions of {name}"):
        models = client.search_registered_models(f"name = '{name}'")
        aliases: dict[str, str] = models[0].aliases if models else {}
        found = client.search_model_versions(f"name = '{name}'") if models else []
        runs = tracking.find_runs(client, {str(version.run_id) for version in found})
        rows = [_row(version, runs.get(str(version.run_id)), aliases) for version in found]
    rows.sort(key=lambda row: -row["version"])
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=dtype) for name, dtype in DTYPES.items()}
    )


def _row(version: ModelVersion, run: Run | None, aliases: dict[str, str]) -> dict[str, Any]:
    is_complete = version.tags.get(STATE_TAG) == COMPLETE
    return {
        "version": int(version.version),
        "aliases": tuple(sorted(name for name, own in aliases.items() if str(own) == str(version.version))),
        "verdict": version.tags.get(GATE_TAG, "pending") if is_complete else UNFINISHED,
        "accuracy": None if run is None else run.data.metrics.get("test/accuracy"),
        "registered": pd.Timestamp(version.creation_timestamp, unit="ms", tz="UTC"),
        "run": None if run is None else _address(run),
    }


def _address(run: Run) -> str:
    if not tracking.is_shared():
        return f"runs:/{run.info.run_id}"
    return tracking.page(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
