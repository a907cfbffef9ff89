"""A candidate against the champion on the same images: differences, intervals, verdicts. Arrays only."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, effective_images, last_within
from headstart.versions.release.decision import Check, Verdict, passed_if, share
from headstart.versions.release.settings import Gate

Flags = NDArray[np.bool_]


def difference(
    candidate: Flags, champion: Flags, confidence: float, groups: Sequence[str] | None = None
) -> tuple[float, Interval]:
    """Accuracy of the candidate less that of the champion, with its score interval.

    An image counts only if exactly one of the two is right: this is McNemar's test for every difference
    instead of 0. Unlike the percentile bootstrap, which lets a model that is worse by the margin
    pass more often than stated (`bench/paired.py`), it stays near its level with few images, and is
    defined if none differs.

    Args:
        candidate, champion: bool [N], whether each image was labelled right.
        groups: the group of each image, if images of one group are alike: the counts are then those of as
            many independent images as would be equally accurate (`effective_images`).

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17, 1998.
    """
    gains = candidate.astype(np.float64) - champion
    measured = float(gains.mean())
    images = float(len(gains)) if groups is None else effective_images(gains, groups)
    gained, lost = images * float((gains > 0).mean()), images * float((gains < 0).mean())
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    low = last_within(lambda gap: _score(images, gained, lost, gap) < z, measured, -1.0)
    high = last_within(lambda gap: -_score(images, gained, lost, gap) < z, measured, 1.0)
    return measured, Interval(low, high)


def _score(images: float, gained: float, lost: float, gap: float) -> float:
    """Tango's statistic of the hypothesis that the true difference is `gap`; falls as `gap` rises."""
    linear = -gained - lost + (2 * images - gained + lost) * gap
    constant = -lost * gap * (1 - gap)
    only_champion = (math.sqrt(linear**2 - 8 * images * constant) - linear) / (4 * images)
    spread = images * (2 * only_champion + gap * (1 - gap))
    distance = gained - lost - images * gap
    return distance / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, distance)


def compare(
    labels: Sequence[str],
    candidate: Flags,
    champion: Flags,
    gate: Gate,
    groups: Sequence[str] | None = None,
) -> list[Check]:
    """Not worse overall, nor in any class, by more than a margin; see `difference` for groups.

    Overall: failed if the measured difference is below the margin; inconclusive if only the lower end of the
    interval is: these images do not show that the candidate is not worse.
    """
    wanted = f"the whole interval above {_worse(gate.margin)}"
    if len(labels) < gate.min_images:
        note = f"{len(labels)} images that the champion did not see, {gate.min_images} are needed"
        overall = Check("accuracy_difference", "inconclusive", None, wanted, note)
        return [overall, Check("worst_class", "inconclusive", None, _class_wanted(gate), note)]
    measured, interval = difference(candidate, champion, gate.confidence, groups)
    within = "" if groups is None else f" in {len(set(groups))} groups"
    note = f"on {len(labels)} images{within} that the champion did not see"
    verdict: Verdict = "passed"
    if measured < -gate.margin:
        verdict = "failed"
    elif interval.low < -gate.margin:
        verdict, note = "inconclusive", f"{note}: too few to show that it is not worse"
    ends = f"{share(gate.confidence)} interval: {_points(interval.low)} to {_points(interval.high)}"
    found = f"{_points(measured)} ({ends})"
    low, high = interval.low, interval.high
    overall = Check("accuracy_difference", verdict, measured, wanted, note, low, high, found)
    return [overall, _classes(labels, candidate, champion, gate)]


def _worse(margin: float) -> str:
    return f"{100 * margin:.4g} points worse"


def _points(gap: float) -> str:
    """A difference of accuracies or recalls: `4.3 points worse`."""
    rounded = round(100 * gap, 1)
    if rounded == 0:
        return "no difference"
    return f"{abs(rounded):.1f} points {'worse' if rounded < 0 else 'better'}"


def _class_wanted(gate: Gate) -> str:
    return f"no class more than {_worse(gate.class_margin)}"


def _classes(labels: Sequence[str], candidate: Flags, champion: Flags, gate: Gate) -> Check:
    names = np.asarray(labels, dtype=object)
    gaps, few = {}, []
    for name in sorted(set(labels)):
        own = names == name
        if own.sum() < gate.min_class_images:
            few.append(f"{name} ({own.sum()})")
            continue
        gaps[name] = float(candidate[own].mean() - champion[own].mean())
    aside = f"; too few images to judge {', '.join(few[:5])}" if few else ""
    aside += f" and {len(few) - 5} more classes" if len(few) > 5 else ""
    wanted = _class_wanted(gate)
    if not gaps:
        note = f"no class has {gate.min_class_images} images{aside}"
        return Check("worst_class", "inconclusive", None, wanted, note)
    worst = min(gaps, key=lambda name: gaps[name])
    below = [name for name in sorted(gaps, key=lambda name: gaps[name]) if gaps[name] < -gate.class_margin]
    found = ", ".join(f"{name}: {_points(gaps[name])}" for name in below[:5] or [worst])
    found += f" and {len(below) - 5} more" if len(below) > 5 else ""
    note = aside.removeprefix("; ")
    return Check("worst_class", passed_if(not below), gaps[worst], wanted, note, found=found)
