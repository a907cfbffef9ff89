"""The difference of two accuracies on the same images, with its interval."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, effective_images, last_within

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
