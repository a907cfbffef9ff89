"""Metrics of an MLflow run: those of the test split, the epochs of its training, a nested run per trial.

On a run's page of metrics the part before the slash is a section, and sections stand in alphabetical order:
`epoch/`, the loss curves, then `gate/` and `test/`, whose charts have one bar each.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.versions.registry import tracking

EPOCH = "epoch"
TRIAL_SETTINGS = ("lr", "momentum", "weight_decay", "label_smoothing", "dropout")
TRIAL_SCORES = ("val_accuracy", "val_loss")
BATCH = 1000  # metrics that MLflow takes at once
CALLS_AT_ONCE = 4  # to a server; a SQLite file takes one writer at a time


def log_test(client: MlflowClient, run_id: str, metrics: Mapping[str, Any]) -> None:
    """Log the figures over all classes, with both ends of their intervals.

    Args:
        metrics: as `read_headline` returns them.
    """
    test = {f"test/{name}": value for name, value in metrics.items() if isinstance(value, int | float)}
    for name, bounds in metrics["intervals"].items():
        test |= {f"test/{name}_{end}": value for end, value in bounds.items()}
    client.log_batch(run_id, metrics=[Metric(key, value, 0, 0) for key, value in test.items()])


def log_epochs(client: MlflowClient, run_id: str) -> None:
    """Log the epochs in `reports/history.csv` that were not logged while they were trained.

    MLflow wants a time: that of the last epoch it has, or the record's.
    """
    rows = load_table(paths.HISTORY).to_dict(orient="records")
    names = [str(name) for name in rows[0] if name != EPOCH]
    points = []
    for name in names:
        known = client.get_metric_history(run_id, f"{EPOCH}/{name}")
        logged = {(point.step, point.value) for point in known}
        when = max((point.timestamp for point in known), default=0)
        own = ((int(row[EPOCH]), float(row[name])) for row in rows)
        points += [
            Metric(f"{EPOCH}/{name}", value, when, step) for step, value in own if (step, value) not in logged
        ]
    _log(client, run_id, points)


def log_live(run_id: str, rows: Sequence[Mapping[str, float]], section: str = EPOCH) -> None:
    """Log epochs of a training that has not ended.

    Args:
        rows: one mapping per epoch: its number as `epoch`, and the figures by name.
        section: the part of the metrics' names before the slash.

    Raises:
        TrackingError: MLflow is unreachable or refuses.
    """
    client = tracking.connect()
    now = int(time.time() * 1000)
    points = [
        Metric(f"{section}/{name}", float(value), now, int(row[EPOCH]))
        for row in rows
        for name, value in row.items()
        if name != EPOCH
    ]
    with tracking.translated("log the epochs"):
        _log(client, run_id, points)


def log_trials(client: MlflowClient, run_id: str) -> list[str]:
    """Log a nested run per trial of a sweep; return their ids, the best trial first; none without a sweep.

    Their metrics are those of validation alone: the page that compares them colours by the first one.
    A run takes three calls, which MLflow does not take for several runs together.
    """
    table = load_table(paths.TRIALS)
    if len(table) < 2:
        return []
    experiment = client.get_run(run_id).info.experiment_id
    rows = table.to_dict(orient="records")
    with ThreadPoolExecutor(CALLS_AT_ONCE if tracking.is_shared() else 1) as pool:
        ids = list(pool.map(lambda row: _log_trial(client, run_id, experiment, row), rows))
    return [ids[place] for place in table["val_loss"].reset_index(drop=True).sort_values(kind="stable").index]


def as_param(value: object) -> str:
    """A parameter's value as MLflow shows it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _log_trial(client: MlflowClient, parent: str, experiment: str, row: dict[str, Any]) -> str:
    tags = {
        "mlflow.parentRunId": parent,
        "mlflow.runName": f"trial {row['trial']}",
        "mlflow.source.name": "dvc.yaml",
        "mlflow.source.type": "PROJECT",
        "headstart.epochs": str(row["epochs"]),
    }
    run_id = str(client.create_run(experiment, tags=tags).info.run_id)
    diverged = bool(pd.isna(row["val_loss"]))
    scores = [] if diverged else [Metric(name, float(row[name]), 0, 0) for name in TRIAL_SCORES]
    params = [Param(name, as_param(row[name])) for name in TRIAL_SETTINGS if not pd.isna(row[name])]
    client.log_batch(run_id, scores, params)
    client.set_terminated(run_id, "FAILED" if diverged else "FINISHED")
    return run_id


def _log(client: MlflowClient, run_id: str, points: Sequence[Metric]) -> None:
    for start in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=points[start : start + BATCH])
