"""How often do the intervals of the test metrics cover the true value, and how wide are they?

Samples are drawn from one distribution whose true figures a sample of 100,000 gives; beside ours stand the
percentiles of a bootstrap on the same samples.

.venv/bin/python bench/intervals.py
"""

import argparse
from pathlib import Path

import numpy as np
from machine import keep
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, percentile, wilson
from headstart.pipeline.evaluation.metrics import Metrics, classification_metrics
from headstart.progress import bar

CONFIDENCE = 0.95
RESAMPLES = 200
NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc")
# classes, distance of a class in standard deviations, images, ratio of the largest class to the smallest
SCENES = (
    (2, 2.9, 92, 1),
    (2, 2.9, 92, 5),
    (2, 1.0, 92, 1),
    (8, 4.5, 92, 1),
    (8, 1.5, 160, 8),
    (30, 3.0, 300, 1),
)

Sample = tuple[NDArray[np.int64], NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = [row for scene in SCENES for row in rows_of(*scene, draws=chosen.draws)]
    keep("intervals", {"confidence": CONFIDENCE, "resamples": RESAMPLES, "rows": rows}, chosen.out)


def rows_of(classes: int, distance: float, images: int, ratio: float, draws: int) -> list[dict[str, object]]:
    """Per metric: the true value, and per method the share of samples covered and the mean width."""
    random = np.random.default_rng(classes)
    truth = measure(drawn(random, classes, distance, 100_000, ratio))
    found: dict[str, dict[str, list[Interval]]] = {name: {"ours": [], "bootstrap": []} for name in NAMES}
    with bar(draws, f"{classes} classes, {images} images", "sample") as progress:
        for _ in range(draws):
            labels, scores = drawn(random, classes, distance, images, ratio)
            ours = measure((labels, scores)).intervals
            picks = (random.integers(0, images, images) for _ in range(RESAMPLES))
            again = [measure((labels[pick], scores[pick])) for pick in picks]
            for name in NAMES:
                values = np.array([getattr(each, name) for each in again], np.float64)
                found[name]["ours"].append(ours[name])
                found[name]["bootstrap"].append(percentile(values, CONFIDENCE) or Interval(0, 1))
            progress.update()
    scene = {"classes": classes, "images": images, "ratio": ratio, "draws": draws}
    return [
        {**scene, "metric": name, "true": getattr(truth, name), **summary(getattr(truth, name), found[name])}
        for name in NAMES
    ]


def summary(true: float, found: dict[str, list[Interval]]) -> dict[str, object]:
    rows: dict[str, object] = {}
    for method, intervals in found.items():
        covered = sum(each.low <= true <= each.high for each in intervals)
        bounds = wilson(covered, len(intervals), 0.95)
        rows[method] = {
            "covered": covered / len(intervals),
            "interval": [bounds.low, bounds.high],
            "width": float(np.mean([each.high - each.low for each in intervals])),
        }
    return rows


def drawn(random: np.random.Generator, classes: int, distance: float, images: int, ratio: float) -> Sample:
    sizes = np.linspace(1, ratio, classes)
    labels = random.choice(classes, images, p=sizes / sizes.sum())
    scores = 3 * (random.normal(size=(images, classes)) + distance * np.eye(classes)[labels])
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return labels, odds / odds.sum(axis=1, keepdims=True)


def measure(sample: Sample) -> Metrics:
    labels, probabilities = sample
    names = [str(index) for index in range(probabilities.shape[1])]
    return classification_metrics(labels, probabilities, names, confidence=CONFIDENCE, resamples=1, seed=0)


if __name__ == "__main__":
    main()
