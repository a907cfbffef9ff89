"""Figures for decisions by probability: thresholds with costs, answers refused, precision and recall."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, exact, group_weights, of_share, percentile
from headstart.pipeline.network.abstention import threshold_at

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
TIED = 1e-12  # relative: costs that differ by less differ only by rounding


class PrCurve(NamedTuple):
    """Precision by rising recall, float64 [K] each, and the area under its steps."""

    recall: Floats
    precision: Floats
    average: float


class Errors(NamedTuple):
    """Mistakes of a threshold: images of the class below it, and images of the other class above it."""

    missed: int
    false_alarms: int
    cost: float
    """per image"""


class Refusal(NamedTuple):
    """Images whose score is below a threshold get no answer."""

    threshold: float
    answered: Flags


def pr_curve(scores: Floats, positives: Flags) -> PrCurve:
    """Precision and recall at every threshold; images of equal scores count together.

    Args:
        scores: float64 [N], higher for the positive class.
        positives: bool [N], at least one of them True.

    Source of the average: `sklearn.metrics.average_precision_score`.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum(positives[order])[last]
    recall, precision = true / true[-1], true / (last + 1)
    average = float((np.diff(recall, prepend=0) * precision).sum())
    return PrCurve(recall, precision, average)


def best_threshold(scores: Floats, positives: Flags, missed: float, false_alarm: float) -> float:
    """The corner with the lowest cost; of several, the nearest to the threshold of exact probabilities.

    Of two that are equally near, the lower one is taken. The script of the page applies the same rule to
    `corner_thresholds`, so that it finds the threshold of a report with these costs.

    Args:
        scores: float64 [N], probabilities of the positive class.
        positives: bool [N].
        missed, false_alarm: costs of the two kinds of mistakes.

    Source of the threshold of exact probabilities: C. Elkan, The foundations of cost-sensitive learning,
    2001.
    """
    wanted = false_alarm / (missed + false_alarm)
    candidates = corner_thresholds(scores, positives)
    misses, alarms = mistakes_at(scores, positives, candidates)
    costs = missed * misses + false_alarm * alarms
    tied = candidates[costs <= costs.min() * (1 + TIED)]
    return float(tied[np.abs(tied - wanted).argmin()])


def corner_thresholds(scores: Floats, positives: Flags) -> Floats:
    """Thresholds one of which costs least, whatever the two kinds of mistakes cost: float64 [K], rising.

    They are the corners of the lower convex hull of the mistakes of both kinds.

    Source: F. Provost, T. Fawcett, Robust classification for imprecise environments, Machine Learning 42,
    2001 (the convex hull of the ROC curve).
    """
    candidates = _between(scores)
    misses, alarms = (counts.tolist() for counts in mistakes_at(scores, positives, candidates))
    hull: list[int] = []
    for index in range(len(candidates)):
        while len(hull) > 1:
            first, last = hull[-2:]
            before = (alarms[first] - alarms[last]) * (misses[index] - misses[first])
            after = (alarms[first] - alarms[index]) * (misses[last] - misses[first])
            if before > after:  # the last is a corner
                break
            hull.pop()
        hull.append(index)
    return candidates[hull]


def _between(scores: Floats) -> Floats:
    """A threshold between every two neighbouring scores, one below all, and one above all, even above 1."""
    levels = np.unique(scores)
    middle = (levels + np.append(levels[1:], 1.0)) / 2
    return np.append(levels[0] / 2, np.maximum(middle, np.nextafter(levels, 2)))


def mistakes_at(scores: Floats, positives: Flags, thresholds: Floats) -> tuple[Counts, Counts]:
    """How many positives lie below each threshold, and how many others do not: int64 [K] both."""
    own, rest = np.sort(scores[positives]), np.sort(scores[~positives])
    return np.searchsorted(own, thresholds), len(rest) - np.searchsorted(rest, thresholds)


def costs_at(scores: Floats, positives: Flags, threshold: float, missed: float, false_alarm: float) -> Floats:
    """The cost of each image if the positive class is answered from `threshold` on: float64 [N]."""
    answered = scores >= threshold
    return np.where(positives & ~answered, missed, 0.0) + np.where(~positives & answered, false_alarm, 0.0)


def errors_at(
    scores: Floats, positives: Flags, threshold: float, missed: float, false_alarm: float
) -> Errors:
    """The mistakes made if the positive class is answered from `threshold` on."""
    return errors_of(scores, positives, [threshold], missed, false_alarm)[0]


def errors_of(
    scores: Floats, positives: Flags, thresholds: Sequence[float], missed: float, false_alarm: float
) -> list[Errors]:
    """The mistakes made by each of several thresholds."""
    counts = mistakes_at(scores, positives, np.asarray(thresholds))
    return [
        Errors(misses, alarms, (missed * misses + false_alarm * alarms) / len(scores))
        for misses, alarms in zip(*(each.tolist() for each in counts), strict=True)
    ]


def share_interval(
    within: Flags,
    right: Flags,
    groups: Sequence[str],
    confidence: float,
    method: Callable[..., Interval] = exact,
) -> Interval:
    """The interval of the share of True among some images; of none of them, the exact one is (0, 1).

    Args:
        within: bool [N], the images that count.
        right: bool [N].
        groups: the group of each of the N images, which is itself if it has none.
    """
    if not within.any():
        return exact(0, 0, confidence)
    own = [group for group, kept in zip(groups, within, strict=True) if kept]
    alike = len(set(own)) < len(own)
    return of_share(right[within], own if alike else None, confidence, method)


def mean_interval(
    values: Floats, groups: Sequence[str], confidence: float, resamples: int, seed: int
) -> Interval:
    """The bootstrap's percentile interval of a mean; whole groups are drawn."""
    alike = np.unique(np.asarray(groups), return_inverse=True)[1]
    means = [values @ weights / weights.sum(axis=0) for weights in group_weights(alike, resamples, seed)]
    found = percentile(np.concatenate(means), confidence)
    assert found is not None
    return found


def refusal(scores: Floats, rate: float, applied: Floats) -> Refusal:
    """Choose the score below which about a share of images lies, and apply it to other images.

    Args:
        scores: float64 [M], higher for better answers: the images on which the threshold is chosen.
        rate: the share of them to refuse, at most; less if scores tie.
        applied: float64 [N], scores of the images to answer.
    """
    threshold = threshold_at(scores, rate)
    return Refusal(threshold, applied >= threshold)


def accuracy_by_coverage(scores: Floats, right: Flags) -> tuple[Floats, Floats]:
    """Share of images answered, the surest first, and the accuracy on them: float64 [K] both.

    Images of equal scores are answered together.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return (last + 1) / len(scores), np.cumsum(right[order])[last] / (last + 1)
