"""Description and plots that MLflow shows of a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numpy as np
from mlflow.tracking import MlflowClient

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation import metrics as measures
from headstart.pipeline.evaluation import plots
from headstart.versions.registry import tracking
from headstart.versions.registry.record import REPORTS
from headstart.versions.release.decision import share

PLOTS = f"{REPORTS}/plots"
PROBABILITY = "probability:"
COMPARED = 100  # trials in one link: an id takes 45 characters of the 8,000 that a description may have
FILES = {"report": "report.html", "the data": "data.html", "figures of each class": "classes.csv"}


def run_note(
    experiment: str,
    run_id: str,
    metrics: Mapping[str, Any],
    head: Mapping[str, Any],
    confidence: float,
    trials: Sequence[str] = (),
) -> str:
    """The description of a run: what it measured, links to its pages, and what it is.

    It has at most four lines: MLflow's page hides those after them behind *Show more*.

    Args:
        metrics: as `read_headline` returns them.
        head: metadata of the head's file.
        confidence: level of the intervals, such as 0.95.
        trials: ids of the runs of a sweep's trials, the best first.
    """
    bounds = metrics["intervals"]["accuracy"]
    artifacts = tracking.artifacts_page(experiment, run_id)
    pages = [f"[{title}]({artifacts}/{REPORTS}/{name})" for title, name in FILES.items()]
    lines = [
        f"**Test accuracy {metrics['accuracy']:.4f}** ({share(confidence)} interval {bounds['low']:.4f} to "
        f"{bounds['high']:.4f}) on {metrics['images']} images of {len(head['classes'])} classes.",
        "",
        f"- Pages: {', '.join(pages)}, [plots]({artifacts}/{PLOTS})",
        *([_sweep(experiment, run_id, trials)] if trials else []),
        f"- Network: {head['arch']}, head `{head['head']}`, best epoch {head['epoch']}; "
        f"backbone: {head['backbone']['source']}",
    ]
    return "\n".join(lines) + "\n"


def _sweep(experiment: str, run_id: str, trials: Sequence[str]) -> str:
    """A line with links to the page of all trials, sorted by loss, and to the comparison of the best ones.

    The first finds the runs by their parent: MLflow cuts a description at 8,000 characters, and the page
    that compares runs needs each one's id in its address.
    """
    query = quote(f"tags.mlflow.parentRunId = '{run_id}'")
    order = f"orderByKey={quote('metrics.`val_loss`')}&orderByAsc=true&compareRunsMode=CHART"
    compared = trials[:COMPARED]
    chosen = f"runs={quote(json.dumps(list(compared)))}&experiments={quote(json.dumps([experiment]))}"
    which = "them" if len(compared) == len(trials) else f"the best {COMPARED}"
    return (
        f"- A sweep of {len(trials)} trials: "
        f"[all, the best first](#/experiments/{experiment}/runs?searchFilter={query}&{order}); "
        f"[compare {which} by parallel coordinates](#/compare-runs?{chosen})"
    )


def log_plots(client: MlflowClient, run_id: str) -> None:
    """Store the plots of the test split and of the training as PNG files beside the report."""
    with TemporaryDirectory() as folder:
        for name, png in drawn().items():
            path = Path(folder) / f"{name}.png"
            path.write_bytes(png)
            client.log_artifact(run_id, str(path), PLOTS)


def drawn() -> dict[str, bytes]:
    """The plots by name, drawn from the tables that the stages wrote."""
    table = load_table(paths.PREDICTIONS)
    columns = [name for name in table if name.startswith(PROBABILITY)]
    classes = [name.removeprefix(PROBABILITY) for name in columns]
    place = {name: index for index, name in enumerate(classes)}
    labels = table["label"].map(place).to_numpy(np.int64)
    predicted = table["predicted"].map(place).to_numpy(np.int64)
    probabilities = table[columns].to_numpy(np.float64)
    pictures = {
        "confusion": plots.confusion_png(measures.confusion_matrix(labels, predicted, len(classes)), classes),
        "calibration": plots.calibration_png(labels, probabilities),
        "history": _history(),
    }
    curves = measures.roc_curves(labels, probabilities, classes)
    return pictures | ({"roc": plots.roc_png(curves)} if curves else {})


def _history() -> bytes:
    history = load_table(paths.HISTORY)
    best = history.loc[history["val_loss"].idxmin(), "epoch"]  # the first of several, as in training
    return plots.history_of(history, int(best))
