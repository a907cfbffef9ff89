"""A candidate against the champion on the same images: differences, intervals, verdicts. Arrays only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.intervals import Interval, percentile
from headstart.registry.decision import Check

RESAMPLES = 10_000
SEED = 0
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Margins:
    """How much worse a candidate may be.

    Attributes:
        overall: of accuracy.
        of_class: of the share of a class's images that are labelled right.
        confidence: of the two-sided interval; 0.9 means that a worse model passes in one of twenty cases.
        min_images: fewer shared images say nothing.
        min_class_images: a class with fewer is named and not judged.
    """

    overall: float
    of_class: float
    confidence: float
    min_images: int
    min_class_images: int


def difference(candidate: Flags, champion: Flags, confidence: float) -> tuple[float, Interval]:
    """Accuracy of the candidate less that of the champion, with its paired bootstrap interval.

    An image adds +1 where the candidate alone is right, -1 where the champion alone is, else 0. Drawing
    images with replacement draws these three from a multinomial distribution, so that a resample costs the
    same for a hundred images and for a million.

    Args:
        candidate, champion: bool [N], whether each image was labelled right.

    Source: B. Efron, R. Tibshirani, An introduction to the bootstrap, 1993, chapters 8 and 13.
    """
    images = len(candidate)
    gained, lost = int((candidate & ~champion).sum()), int((champion & ~candidate).sum())
    shares = [gained / images, lost / images, (images - gained - lost) / images]
    drawn = np.random.default_rng(SEED).multinomial(images, shares, size=RESAMPLES)
    found = percentile((drawn[:, 0] - drawn[:, 1]) / images, confidence)
    assert found is not None
    return (gained - lost) / images, found


def compare(labels: Sequence[str], candidate: Flags, champion: Flags, margins: Margins) -> list[Check]:
    """Not worse overall, and in no class, by more than a margin.

    Overall: failed where the measured difference is below the margin; inconclusive where it is not, but the
    interval's lower end is: these images do not show that it is not worse.
    """
    wanted = f"at least {-margins.overall:g}, its interval too"
    if len(labels) < margins.min_images:
        note = f"{len(labels)} images that the champion did not see, {margins.min_images} are needed"
        overall = Check("accuracy_difference", "inconclusive", None, wanted, note)
        return [overall, Check("worst_class", "inconclusive", None, _class_wanted(margins), note)]
    measured, interval = difference(candidate, champion, margins.confidence)
    told = f"{measured:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}, margin {margins.overall:g})"
    told += f" on {len(labels)} images that the champion did not see"
    if measured < -margins.overall:
        overall = Check("accuracy_difference", "failed", measured, wanted, told, interval.low, interval.high)
    elif interval.low < -margins.overall:
        note = f"{told}: too few images to show that it is not worse"
        overall = Check(
            "accuracy_difference", "inconclusive", measured, wanted, note, interval.low, interval.high
        )
    else:
        overall = Check("accuracy_difference", "passed", measured, wanted, told, interval.low, interval.high)
    return [overall, _classes(labels, candidate, champion, margins)]


def _class_wanted(margins: Margins) -> str:
    return f"no class below {-margins.of_class:g}"


def _classes(labels: Sequence[str], candidate: Flags, champion: Flags, margins: Margins) -> Check:
    names = np.asarray(labels, dtype=object)
    gaps, few = {}, []
    for name in sorted(set(labels)):
        own = names == name
        if own.sum() < margins.min_class_images:
            few.append(f"{name} ({own.sum()})")
            continue
        gaps[name] = float(candidate[own].mean() - champion[own].mean())
    aside = f"; too few images to judge {', '.join(few[:5])}" if few else ""
    aside += f" and {len(few) - 5} more classes" if len(few) > 5 else ""
    wanted = _class_wanted(margins)
    if not gaps:
        note = f"no class has {margins.min_class_images} images{aside}"
        return Check("worst_class", "inconclusive", None, wanted, note)
    worst = min(gaps, key=lambda name: gaps[name])
    below = [name for name in sorted(gaps, key=lambda name: gaps[name]) if gaps[name] < -margins.of_class]
    named = below[:5] or [worst]
    note = ", ".join(f"{name} {gaps[name]:+.3f}" for name in named)
    note += f" and {len(below) - 5} more" if len(below) > 5 else ""
    return Check("worst_class", "failed" if below else "passed", gaps[worst], wanted, note + aside)
