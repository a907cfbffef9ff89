"""How often does the gate's comparison let a worse model pass, and how often one that is as good?

Answers are drawn for pairs of models on the same images: a champion that is right in 90 of 100, and a
candidate that is worse by exactly the margin, or as good; they differ on more images than that, as models do.
Beside the gate's score interval stands the percentile bootstrap, on the same answers.

Then the same class by class, for up to 1,000 classes: how often does a class fail between two models that are
equally good, and how often if one class fell by twice its margin? Beside the gate's check stands the measured
change alone.

.venv/bin/python bench/paired.py
"""

import argparse
from pathlib import Path

import numpy as np
from machine import keep
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import wilson
from headstart.pipeline.evaluation.paired_difference import Flags, difference
from headstart.progress import bar
from headstart.versions.release.class_checks import worst_class
from headstart.versions.release.settings import Gate

GATE = Gate()
MARGIN, CONFIDENCE = GATE.margin, GATE.confidence
RIGHT = 0.9  # of the champion
BOTH_WAYS = 0.03  # of images on which either of two equal models is right alone
IMAGES = (60, 100, 200, 500)
RESAMPLES = 2000
SCENES = {"worse by the margin": MARGIN, "as good": 0.0}
CLASSES, CLASS_IMAGES = (2, 10, 50, 200, 1000), (5, 20, 50, 100)
FALLEN = "class 0"
FALLS = {"as good": 0.0, "a class fell": 2 * GATE.class_margin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = [
        row_of(scene, worse, images, chosen.draws) for scene, worse in SCENES.items() for images in IMAGES
    ]
    classes = [class_row_of(count, images, chosen.draws // 5) for count in CLASSES for images in CLASS_IMAGES]
    settings = {"margin": MARGIN, "class_margin": GATE.class_margin, "confidence": CONFIDENCE}
    keep("paired", {**settings, "resamples": RESAMPLES, "rows": rows, "classes": classes}, chosen.out)


def row_of(scene: str, worse: float, images: int, draws: int) -> dict[str, object]:
    """Shares of draws that pass, by either interval."""
    passed = {"score": 0, "bootstrap": 0}
    random = np.random.default_rng([images, round(1000 * worse)])
    with bar(draws, f"{scene}, {images}", "draw") as progress:
        for _ in range(draws):
            candidate, champion = answers(random, images, worse)
            _, interval = difference(candidate, champion, CONFIDENCE)
            passed["score"] += interval.low >= -MARGIN
            passed["bootstrap"] += lowest(random, candidate, champion) >= -MARGIN
            progress.update()
    row: dict[str, object] = {"scene": scene, "images": images, "draws": draws}
    return row | {name: rate_of(count, draws) for name, count in passed.items()}


def rate_of(count: int, draws: int) -> dict[str, object]:
    interval = wilson(count, draws, 0.95)
    return {"rate": count / draws, "interval": [interval.low, interval.high]}


def class_row_of(classes: int, images: int, draws: int) -> dict[str, object]:
    """Shares of draws in which the check of classes fails, by models and by rule; of its other verdicts, too.

    Of models of which one class fell, those draws count in which that class is named.
    """
    row: dict[str, object] = {"classes": classes, "images": images, "draws": draws}
    labels = [f"class {number}" for number in range(classes) for _ in range(images)]
    random = np.random.default_rng([classes, images])
    for scene, fall in FALLS.items():
        worse = np.where(np.arange(len(labels)) < images, fall, 0.0)
        for errors, draw in {"in common": answers, "independent": independent_answers}.items():
            counts = {"failed": 0, "inconclusive": 0, "measured": 0}
            with bar(draws, f"{scene}, {classes} classes, {images} images", "draw") as progress:
                for _ in range(draws):
                    candidate, champion = draw(random, len(labels), worse)
                    check = worst_class(labels, candidate, champion, GATE)
                    gaps = (candidate.astype(np.int64) - champion).reshape(classes, images).mean(axis=1)
                    found = gaps[:1] if fall else gaps
                    counts["measured"] += bool((found < -GATE.class_margin).any())
                    counts["failed"] += check.verdict == "failed" and (not fall or FALLEN in check.found)
                    counts["inconclusive"] += check.verdict == "inconclusive"
                    progress.update()
            row[f"{scene}, errors {errors}"] = {name: rate_of(count, draws) for name, count in counts.items()}
    return row


def answers(
    random: np.random.Generator, images: int, worse: float | NDArray[np.float64]
) -> tuple[Flags, Flags]:
    """Whether candidate and champion are right, bool [images] each; the accuracies differ by `worse`.

    Most errors are common to both, as between two heads on the same features.
    """
    drawn = random.random(images)
    only_champion = drawn < BOTH_WAYS + worse
    only_candidate = (drawn >= 0.5) & (drawn < 0.5 + BOTH_WAYS)
    neither = drawn >= RIGHT + BOTH_WAYS
    champion = ~only_candidate & ~neither
    return (champion & ~only_champion) | only_candidate, champion


def independent_answers(
    random: np.random.Generator, images: int, worse: NDArray[np.float64]
) -> tuple[Flags, Flags]:
    """The same for models whose errors have nothing in common, which differ on three times as many images."""
    return random.random(images) < RIGHT - worse, random.random(images) < RIGHT


def lowest(random: np.random.Generator, candidate: Flags, champion: Flags) -> float:
    """The lower end of the percentile bootstrap's interval of the difference."""
    images = len(candidate)
    gap: NDArray[np.int64] = candidate.astype(np.int64) - champion
    shares = [float((gap == value).mean()) for value in (-1, 0, 1)]
    drawn = random.multinomial(images, shares, size=RESAMPLES)  # the same as drawing the images again
    return float(np.quantile((drawn[:, 2] - drawn[:, 0]) / images, (1 - CONFIDENCE) / 2))


if __name__ == "__main__":
    main()
