"""The share of right answers among labelled images, each of which may stand for several without a label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, wilson

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A share, or a difference of shares, with its interval and the number of images that it counts."""

    value: float
    low: float
    high: float
    images: int


def weighted_share(right: Flags, weights: Floats, copies: Sequence[str], confidence: float) -> Figure:
    """The weighted share of True, with the score interval of as many images as would be independent.

    Args:
        right: bool [N], N at least 1.
        weights: float64 [N], how many images each one stands for.
        copies: a name per image, equal for copies of one picture, which are not independent.
    """
    share = float(weights @ right / weights.sum())
    images = independent_images(right, weights, copies)
    bounds = wilson(images * share, images, confidence)
    return Figure(share, min(bounds.low, share), max(bounds.high, share), len(right))


def independent_images(right: Flags, weights: Floats, copies: Sequence[str]) -> float:
    """How many independent images of equal weight would give the share the same accuracy.

    At most as many as the weights alone leave, since the images that stand for many may all happen to be
    right. Sources: L. Kish, Survey sampling, 1965 (the weights); J. N. K. Rao, A. J. Scott, A simple method
    for the analysis of clustered binary data, Biometrics 48, 1992 (the copies).
    """
    numbers = np.unique(np.asarray(copies), return_inverse=True)[1]
    total, of_copies = float(weights.sum()), np.bincount(numbers, weights=weights)
    most = total**2 / float((of_copies**2).sum())
    share = float(weights @ right) / total
    rest = np.bincount(numbers, weights=weights * (right - share))
    variance = float((rest**2).sum()) / total**2
    return min(most, share * (1 - share) / variance) if variance > 0 else most


def difference(production: Figure, test: Figure) -> Figure:
    """Production less test, two independent samples, with Newcombe's interval.

    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics
    in Medicine 17, 1998 (method 10).
    """
    gap = production.value - test.value
    below = math.hypot(production.value - production.low, test.high - test.value)
    above = math.hypot(production.high - production.value, test.value - test.low)
    return Figure(gap, max(-1.0, gap - below), min(1.0, gap + above), production.images)


def of_interval(value: float, bounds: Interval, images: int) -> Figure:
    """A figure from its interval."""
    return Figure(value, bounds.low, bounds.high, images)
