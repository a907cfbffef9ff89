"""Results of the evaluate stage made up by tests, with the files that its report reads."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from packed import hold
from sections import section

from headstart.ground import paths
from headstart.pipeline.evaluation.metrics import classification_metrics
from headstart.pipeline.evaluation.results import Results, Validation, groups_of
from headstart.pipeline.network.network import INPUT

HEAD = {
    "arch": "vgg16",
    "width": 64,
    "head": "linear",
    "hidden": [],
    "dropout": 0.5,
    "replace": {},
    "train": [],
    "cut": INPUT,
    "precision": "fp32",
    "transform": "IMAGENET1K_V1",
    "views": None,
    "init": None,
    "backbone": {"random": False, "source": "IMAGENET1K_V1", "digest": "0" * 64},
    "digest": "1" * 64,
    "epoch": 2,
}
EPOCHS = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [0.9, 0.5, 0.2],
        "val_loss": [0.9, 0.6, 0.7],
        "train_accuracy": [0.5, 0.8, 0.9],
        "val_accuracy": [0.5, 0.8, 0.7],
    }
)
TRIAL = {"trial": 0, "lr": 0.01, "momentum": None, "weight_decay": 0.1, "epochs": 3, "best_epoch": 2}


def make_results(
    root: Path,
    labels: Sequence[int],
    predicted: Sequence[int],
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
    side: int = 8,
) -> Results:
    """Results with these labels and answers; writes pictures and tables below `root`.

    The first images are answered with the least confidence. Training and validation images are like those of
    test. Nothing is frozen, so there are no features.
    """
    count = len(labels)
    names = np.array(classes, dtype=object)
    own = pd.DataFrame(
        {
            "path": [f"{classes[label]}/{number}.jpg" for number, label in enumerate(labels)],
            "label": names[np.asarray(labels)],
            "pixels": [f"{number:064x}" for number in range(count)],
            "group": list(groups) if groups else "",
        }
    )
    parts = [
        own.assign(split=split, path=f"{split}/" + own["path"], pixels=split + own["pixels"])
        for split in ("train", "val")
    ]
    images = pd.concat([*parts, own.assign(split="test")], ignore_index=True)
    table = images.iloc[2 * count :].assign(row=range(2 * count, 3 * count))
    probabilities = _probabilities(np.asarray(predicted), len(classes))
    images = _write(root, images, side)
    return Results(
        options=section("evaluate", resamples=20),
        head={**HEAD, "classes": list(classes)},
        images=images,
        rows=None,  # type: ignore[arg-type]  # there are none
        table=table,
        labels=np.asarray(labels),
        probabilities=probabilities,
        classes=tuple(classes),
        metrics=classification_metrics(
            np.asarray(labels),
            probabilities,
            classes,
            confidence=0.95,
            resamples=20,
            seed=0,
            groups=groups_of(table),
        ),
        validation=Validation(range(count, 2 * count), np.asarray(labels), probabilities),
    )


def _probabilities(predicted: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    top = np.linspace(0.6, 0.99, len(predicted))
    rest = (1 - top) / (classes - 1)
    found = np.repeat(rest[:, None], classes, axis=1)
    found[np.arange(len(predicted)), predicted] = top
    return found


def _write(root: Path, images: pd.DataFrame, side: int) -> pd.DataFrame:
    """Write what the report reads, and return the images with their pixels in the store."""
    for folder in ("artifacts", "reports"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (len(images), side, side, 3), dtype=np.uint8)
    listed = hold(pixels, images, side)
    facts = {"width": side, "height": side, "bytes": 1000, "format": "PNG", "mode": "RGB", "similar": ""}
    images.assign(excluded="", **facts).to_parquet(root / paths.MANIFEST)
    EPOCHS.to_csv(root / paths.HISTORY, index=False)
    scores = {"val_loss": 0.6, "val_accuracy": 0.8}
    pd.DataFrame([TRIAL | scores]).to_csv(root / paths.TRIALS, index=False)
    (root / paths.VALIDATION).write_text(json.dumps({"placed": []}))
    return listed
