"""How often does the gate's comparison let a worse model pass, and how often one that is as good?

Answers are drawn for pairs of models on the same images: a champion that is right in 90 of 100, and a
candidate that is worse by exactly the margin, or as good; they differ on more images than that, as models do.
Beside the gate's score interval stands the percentile bootstrap, on the same answers.

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

MARGIN, CONFIDENCE = 0.05, 0.9  # as in params.yaml
RIGHT = 0.9  # of the champion
BOTH_WAYS = 0.03  # of images on which either of two equal models is right alone
IMAGES = (60, 100, 200, 500)
RESAMPLES = 2000
SCENES = {"worse by the margin": MARGIN, "as good": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = [
        row_of(scene, worse, images, chosen.draws) for scene, worse in SCENES.items() for images in IMAGES
    ]
    keep(
        "paired",
        {"margin": MARGIN, "confidence": CONFIDENCE, "resamples": RESAMPLES, "rows": rows},
        chosen.out,
    )


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
    for name, count in passed.items():
        interval = wilson(count, draws, 0.95)
        row[name] = {"rate": count / draws, "interval": [interval.low, interval.high]}
    return row


def answers(random: np.random.Generator, images: int, worse: float) -> tuple[Flags, Flags]:
    """Whether candidate and champion are right, bool [images] each; the accuracies differ by `worse`."""
    drawn = random.random(images)
    only_champion = drawn < BOTH_WAYS + worse
    only_candidate = (drawn >= 0.5) & (drawn < 0.5 + BOTH_WAYS)
    neither = drawn >= RIGHT + BOTH_WAYS
    champion = ~only_candidate & ~neither
    return (champion & ~only_champion) | only_candidate, champion


def lowest(random: np.random.Generator, candidate: Flags, champion: Flags) -> float:
    """The lower end of the percentile bootstrap's interval of the difference."""
    images = len(candidate)
    gap: NDArray[np.int64] = candidate.astype(np.int64) - champion
    shares = [float((gap == value).mean()) for value in (-1, 0, 1)]
    drawn = random.multinomial(images, shares, size=RESAMPLES)  # the same as drawing the images again
    return float(np.quantile((drawn[:, 2] - drawn[:, 0]) / images, (1 - CONFIDENCE) / 2))


if __name__ == "__main__":
    main()
