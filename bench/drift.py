"""How often does monitoring cry wolf, and how many images of a known drift does it need?

A head is trained on the sample, then drawings that it never saw are observed once. Each draw without drift
deals them out anew as training, held-out and new images; each draw with drift takes the new ones from a set
that was changed in a known way.

PYTHONPATH=tests/support .venv/bin/python bench/drift.py
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from drifted import DRIFTS, Change
from machine import keep
from workspace import Workspace

from headstart.pipeline.evaluation.intervals import wilson
from headstart.pipeline.store.store import Store
from headstart.progress import bar
from headstart.sources.sample import IMAGES_PER_CLASS, LABELS, draw_image, draw_sample
from headstart.versions.monitoring.drift import Drift, Reference, compare
from headstart.versions.monitoring.observing import Observed, Observer
from headstart.versions.monitoring.settings import Monitor

SETTINGS = Monitor(
    source=None, alpha=0.01, min_images=20, max_rows=1000, permutations=1000, seed=0, max_age_days=None
)
LEVELS = (0.01, 0.05)
TRAIN, HELD_OUT = 288, 96  # as many as the sample has of each
NEW = (30, 60, 100, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=int, default=700, help="drawings without drift")
    parser.add_argument("--drifted", type=int, default=240, help="drawings of each drift")
    parser.add_argument("--draws", type=int, default=1000, help="without drift")
    parser.add_argument(
        "--detections", type=int, default=100, help="draws of each drift and number of images"
    )
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--width", type=int, default=64, help="of the network; 16 takes a tenth of the time")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        observer = train(folder, chosen.precision, chosen.width)
        with Store(folder / "store") as store:
            pool = observed(observer, store, folder, chosen.pool, IMAGES_PER_CLASS, None)
            first = IMAGES_PER_CLASS + chosen.pool
            sets = {}
            for drift, change in DRIFTS.items():
                sets[drift] = observed(observer, store, folder, chosen.drifted, first, change)
                first += chosen.drifted
    result = {
        "precision": chosen.precision,
        "width": chosen.width,
        "pool": chosen.pool,
        "train": TRAIN,
        "held_out": HELD_OUT,
        "permutations": SETTINGS.permutations,
        "alpha": SETTINGS.alpha,
        "without_drift": without_drift(pool, chosen.draws),
        "with_drift": [with_drift(pool, sets[drift], drift, chosen.detections) for drift in sets],
    }
    keep("drift", result, chosen.out)


def train(folder: Path, precision: str, width: int) -> Observer:
    """The demo's head: pooled, on random weights."""
    draw_sample(folder / "sample")
    project = Workspace.make(
        folder, folder / "sample", **{"features.precision": precision, "backbone.width": width}
    )
    project.dvc("repro")
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    print(f"test accuracy {metrics['accuracy']:.3f}", flush=True)
    artifacts = project.root / "artifacts"
    return Observer(artifacts / "head.safetensors", artifacts / "backbone.safetensors")


def observed(
    observer: Observer, store: Store, folder: Path, count: int, first: int, change: Change | None
) -> Observed:
    """`count` drawings from number `first` on, both classes in turn."""
    place = folder / f"drawn-{first}"
    place.mkdir()
    files = []
    for number in range(first, first + count):
        picture = draw_image(LABELS[number % len(LABELS)], number)
        path = place / f"{number:06d}.png"
        if change is not None:
            picture = change(picture, number)
            path = path.with_suffix(".jpg" if picture.format == "JPEG" else ".png")
        options = {"quality": "keep"} if picture.format == "JPEG" else {"compress_level": 0}
        picture.save(path, **options)
        files.append((path.name, path))
    with bar(count, "observed") as progress:
        return observer.observe(files, store, progress.update)


def without_drift(pool: Observed, draws: int) -> list[dict[str, object]]:
    """Share of draws with an alarm, by number of new images and level; each deals all images anew."""
    rows = []
    for number in (60, 200):
        found = []
        with bar(draws, f"no drift, {number}", "draw") as progress:
            for draw in range(draws):
                order = np.random.default_rng([draw, number]).permutation(len(pool))
                new = pick(pool, order[TRAIN + HELD_OUT :][:number])
                found.append(smallest(compare_with(pool, order, new, draw)))
                progress.update()
        for level in LEVELS:
            alarms = sum(value <= level for value in found)
            interval = wilson(alarms, draws, 0.95)
            rows.append(
                {
                    "new_images": number,
                    "alpha": level,
                    "draws": draws,
                    "alarms": alarms,
                    "rate": alarms / draws,
                    "interval": [interval.low, interval.high],
                }
            )
    return rows


def with_drift(pool: Observed, drifted: Observed, name: str, draws: int) -> dict[str, object]:
    """Share of draws that are found, by number of new images, and which checks found them."""
    rows = []
    for number in NEW:
        alarms, checks = 0, dict[str, int]()
        for draw in range(draws):
            random = np.random.default_rng([draw, number, 1])
            new = pick(drifted, random.permutation(len(drifted))[:number])
            found = compare_with(pool, random.permutation(len(pool)), new, draw)
            alarms += found.verdict == "drift"
            for check in found.drifted:
                checks[check.name] = checks.get(check.name, 0) + 1
        interval = wilson(alarms, draws, 0.95)
        rows.append(
            {
                "new_images": number,
                "draws": draws,
                "rate": alarms / draws,
                "interval": [interval.low, interval.high],
                "by_check": {check: count / draws for check, count in sorted(checks.items())},
            }
        )
        print(name, rows[-1], flush=True)
    return {"drift": name, "rows": rows}


def compare_with(pool: Observed, order: np.ndarray, new: Observed, seed: int) -> Drift:
    train, held_out = pick(pool, order[:TRAIN]), pick(pool, order[TRAIN:][:HELD_OUT])
    return compare(
        Reference(train, held_out, frozenset()), new, len(new), len(new), replace(SETTINGS, seed=seed)
    )


def smallest(found: Drift) -> float:
    """The level from which on a comparison is an alarm."""
    return min(check.adjusted for check in found.checks if check.adjusted is not None)


def pick(observed: Observed, rows: np.ndarray) -> Observed:
    return Observed(
        pd.DataFrame(observed.table.iloc[rows]).reset_index(drop=True), observed.features[rows], ()
    )


if __name__ == "__main__":
    main()
