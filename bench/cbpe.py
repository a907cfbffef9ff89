"""How far off is the accuracy that is estimated from confidences, if its assumption holds and if it fails?

The convolutions of a VGG16 checkpoint see every photograph once as it is, and once with each change. Each
draw deals the photographs out anew: half of them train a linear head on the averaged features, a quarter is
its test split, which calibrates the estimate, and the rest is production, which is shifted in a known way.
The accuracy there is known, so each draw shows whether the interval covers it.

PYTHONPATH=tests/support .venv/bin/python bench/cbpe.py --data FOLDER --weights VGG16.pth
"""

import argparse
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from machine import keep
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from projects import dvc, edit_params, make_repository, make_tree
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.pipeline.evaluation.intervals import wilson
from headstart.versions.monitoring.feedback.estimate import calibrate

CHANNELS = 512


def blurred(picture: Image.Image, number: int) -> Image.Image:
    """Far out of focus, whatever the size: a Gaussian of 2.5% of the shorter side."""
    return picture.filter(ImageFilter.GaussianBlur(0.025 * min(picture.size)))


CHANGES = {"blur": blurred}
TEST, TRAIN = 0.25, 0.5  # shares of the photographs; the rest is production
LEVEL = 0.95
DRAWN = 300  # images of production per draw, with repetition
Features = dict[str, NDArray[Any]]


def observe(data: Path, weights: Path, precision: str, folder: Path) -> Features:
    """The averaged features [N, 512] of all photographs as they are and with each change; `labels` [N]."""
    root = folder / "project"
    make_tree(root)
    shutil.copytree(data, root / "data")
    edit_params(root, **{
        "backbone.width": 64, "backbone.weights": str(weights.resolve()),
        "backbone.sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "features.precision": precision, "train.epochs": 1, "split.group": "similar",
    })  # fmt: skip
    make_repository(root)
    dvc(root, "repro", "train")  # any head: only the frozen layers below it are used
    from headstart.pipeline.data.manifest import read_manifest
    from headstart.pipeline.store.store import Store
    from headstart.progress import bar
    from headstart.versions.monitoring.observing import Observer

    manifest = read_manifest(root / "artifacts/manifest.parquet").drop_duplicates("pixels")
    names = sorted(manifest["path"])
    observer = Observer(root / "artifacts/head.safetensors", root / "artifacts/backbone.safetensors")
    found: Features = {"labels": np.array([name.partition("/")[0] for name in names])}
    with Store(folder / "store") as store:
        for change in ("none", *CHANGES):
            files = [(name, changed(root / "data" / name, change, folder, n)) for n, name in enumerate(names)]
            with bar(len(files), change) as progress:
                seen = observer.observe(files, store, progress.update)
            assert not seen.failures
            found[change] = seen.features.reshape(len(seen), CHANNELS, -1).mean(2)
    return found


def changed(path: Path, change: str, folder: Path, number: int) -> Path:
    if change == "none":
        return path
    place = folder / change / f"{number:06d}.png"
    place.parent.mkdir(exist_ok=True)
    with Image.open(path) as picture:
        CHANGES[change](picture.convert("RGB"), number).save(place, compress_level=1)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder per class")
    parser.add_argument("--weights", type=Path, help="a VGG16 checkpoint of torchvision")
    parser.add_argument("--features", type=Path, help="an .npz file that keeps the features for the next run")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    if chosen.features and chosen.features.exists():
        features = dict(np.load(chosen.features))
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HEADSTART_CACHE"] = f"{folder}/store"
            features = observe(chosen.data, chosen.weights, chosen.precision, Path(folder))
        if chosen.features:
            np.savez(chosen.features, **features)
    rows = [row for draw in range(chosen.draws) for row in one_draw(features, draw)]
    keep(
        "cbpe",
        {
            "photographs": len(features["labels"]),
            "draws": chosen.draws,
            "level": LEVEL,
            "shifts": [summary(name, rows) for name in dict.fromkeys(row["shift"] for row in rows)],
        },
        chosen.out,
    )


def one_draw(features: Features, draw: int) -> list[dict[str, Any]]:
    """The estimates of one head, with the accuracy that was there, for each shift."""
    random = np.random.default_rng(draw)
    labels = features["labels"]
    order = random.permutation(len(labels))
    ends = (np.cumsum([TRAIN, TEST]) * len(order)).astype(int)
    train, test, rest = np.split(order, ends)
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    head.fit(features["none"][train], labels[train])
    plain = answers(head, features["none"], labels)
    calibration = calibrate(plain["confidence"][test], plain["right"][test])
    test_accuracy = float(plain["right"][test].mean())
    found = []
    for name, (seen, places) in shifts(head, features, rest, plain, random).items():
        confidence, right = seen["confidence"][places], seen["right"][places]
        copies = [str(place) for place in places]
        estimate = calibration.estimate(confidence, copies, LEVEL)
        found.append(
            {
                "shift": name,
                "test": test_accuracy,
                "truth": float(right.mean()),
                "estimate": estimate.value,
                "covered": estimate.low <= right.mean() <= estimate.high,
                "width": estimate.high - estimate.low,
            }
        )
    return found


def answers(head: Any, features: NDArray[Any], labels: NDArray[Any]) -> Features:
    """The confidence of each answer [N], whether it is right [N], and its class [N]."""
    chances = head.predict_proba(features)
    named = head.classes_[chances.argmax(1)]
    return {"confidence": chances.max(1), "right": named == labels, "label": labels}


def shifts(
    head: Any, features: Features, rest: NDArray[Any], plain: Features, random: np.random.Generator
) -> dict[str, tuple[Features, NDArray[Any]]]:
    """The answers in production and the images drawn, by the name of the shift."""
    sure = plain["confidence"][rest]
    first = plain["label"][rest] == sorted(plain["label"])[0]
    swapped = {
        **plain,
        "right": np.where(random.random(len(plain["right"])) < 0.25, ~plain["right"], plain["right"]),
    }

    def drawn(weights: NDArray[Any]) -> NDArray[Any]:
        return random.choice(rest, DRAWN, p=weights / weights.sum())

    even = np.ones(len(rest))
    hard = np.where(sure < np.median(sure), 4.0, 1.0)
    return {
        "none": (plain, drawn(even)),
        "unsure images 4 times as often": (plain, drawn(hard)),
        "sure images 4 times as often": (plain, drawn(1 / hard)),
        "one class 4 times as often": (plain, drawn(np.where(first, 4.0, 1.0))),
        "blur": (answers(head, features["blur"], features["labels"]), drawn(even)),
        "a quarter of the labels swapped": (swapped, drawn(even)),
    }


def summary(name: str, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    own = [row for row in rows if row["shift"] == name]
    covered = sum(bool(row["covered"]) for row in own)
    interval = wilson(covered, len(own), 0.95)
    means = {key: float(np.mean([row[key] for row in own])) for key in ("test", "truth", "estimate", "width")}
    error = [row["estimate"] - row["truth"] for row in own]
    unchanged = [row["test"] - row["truth"] for row in own]
    return {
        "shift": name,
        **means,
        "coverage": covered / len(own),
        "coverage_interval": [interval.low, interval.high],
        "mean_error": float(np.mean(error)),
        "mean_absolute_error": float(np.mean(np.abs(error))),
        "mean_absolute_error_of_test_figure": float(np.mean(np.abs(unchanged))),
    }


if __name__ == "__main__":
    main()
