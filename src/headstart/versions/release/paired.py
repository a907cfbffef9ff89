"""A candidate against the champion on the same images: differences, intervals, verdicts. Arrays only."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval
from headstart.versions.release.decision import Check, Verdict

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
    """Accuracy of the candidate less that of the champion, with its score interval.

    An image counts only where one of the two alone is right: this is McNemar's test, asked for every
    difference instead of 0. Unlike the percentile bootstrap, which lets a model that is worse by the margin
    pass more often than stated (`bench/paired.py`), it keeps near its level with few images and says
    something where none differs.

    Args:
        candidate, champion: bool [N], whether each image was labelled right.

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17, 1998.
    """
    images = len(candidate)
    gained, lost = int((candidate & ~champion).sum()), int((champion & ~candidate).sum())
    measured = (gained - lost) / images
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    low = _crossing(lambda gap: _score(images, gained, lost, gap) - z, measured, -1.0)
    high = _crossing(lambda gap: -_score(images, gained, lost, gap) - z, measured, 1.0)
    return measured, Interval(low, high)


def _score(images: int, gained: int, lost: int, gap: float) -> float:
    """Tango's statistic of the hypothesis that the true difference is `gap`; falls as `gap` rises."""
    linear = -gained - lost + (2 * images - gained + lost) * gap
    constant = -lost * gap * (1 - gap)
    only_champion = (math.sqrt(linear**2 - 8 * images * constant) - linear) / (4 * images)
    spread = images * (2 * only_champion + gap * (1 - gap))
    distance = gained - lost - images * gap
    return distance / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, distance)


def _crossing(function: Callable[[float], float], inside: float, end: float) -> float:
    """Where a function that is negative at `inside` becomes positive towards `end`."""
    for _ in range(50):
        middle = (inside + end) / 2
        inside, end = (middle, end) if function(middle) < 0 else (inside, middle)
    return (inside + end) / 2


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
    note = f"on {len(labels)} images that the champion did not see"
    verdict: Verdict = "passed"
    if measured < -margins.overall:
        verdict = "failed"
    elif interval.low < -margins.overall:
        verdict, note = "inconclusive", f"{note}: too few to show that it is not worse"
    overall = Check("accuracy_difference", verdict, measured, wanted, note, interval.low, interval.high)
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
