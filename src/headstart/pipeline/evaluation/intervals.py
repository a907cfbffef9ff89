"""Confidence intervals that keep their level at few images and near 0 and 1, where a bootstrap does not."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Groups = Sequence[str] | NDArray[np.int64]
BLOCK = 1_000_000  # weights held at once, 8 bytes each


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float


def wilson(successes: float, trials: float, confidence: float) -> Interval:
    """The score interval of a share; it stays within [0, 1] and is sound even at 0 and 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    1927.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Interval(
        0.0 if successes <= 0 else max(0.0, centre - half),  # not only up to rounding
        1.0 if successes >= trials else min(1.0, centre + half),
    )


def exact(successes: float, trials: float, confidence: float) -> Interval:
    """The exact interval of a share: it covers at least as often as stated; (0, 1) without trials.

    Source: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of
    the binomial, Biometrika 26, 1934.
    """
    tail, failures = (1 - confidence) / 2, trials - successes
    low = betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return Interval(float(low), float(high))


def of_mean(
    estimates: NDArray[np.float64], intervals: Sequence[Interval], correlations: NDArray[np.float64]
) -> Interval:
    """The interval of the mean of several figures in [0, 1], from the interval of each.

    Args:
        estimates: float64 [K].
        intervals: of each estimate.
        correlations: float64 [K, K], between the estimates.

    Source: G. Y. Zou, A. Donner, Construction of confidence limits about effect measures: a general approach,
    Statistics in Medicine 27, 2008.
    """
    below = (estimates - [each.low for each in intervals]) / len(estimates)
    above = ([each.high for each in intervals] - estimates) / len(estimates)
    low = estimates.mean() - math.sqrt(below @ correlations @ below)
    high = estimates.mean() + math.sqrt(above @ correlations @ above)
    return Interval(max(0.0, float(low)), min(1.0, float(high)))


def of_auc(area: float, positives: float, negatives: float, confidence: float) -> Interval:
    """The score interval of an area under the ROC curve.

    Source: R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, Statistics in Medicine 25, 2006 (method 5).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    more = max(0.0, (positives + negatives) / 2 - 1)

    def is_within(true: float) -> bool:
        spread = 1 + more * ((1 - true) / (2 - true) + true / (1 + true))
        return (true - area) ** 2 < z * z * true * (1 - true) * spread / (positives * negatives)

    return Interval(last_within(is_within, area, 0.0), last_within(is_within, area, 1.0))


def last_within(is_within: Callable[[float], bool], inside: float, end: float) -> float:
    """The point towards `end` at which a condition that holds next to `inside` ceases to hold."""
    for _ in range(50):
        middle = (inside + end) / 2
        inside, end = (middle, end) if is_within(middle) else (inside, middle)
    return (inside + end) / 2


def effective_images(values: NDArray[np.float64], groups: Groups) -> float:
    """How many independent images would give the mean of `values` the accuracy that these groups give it.

    The number of images over the design effect: the variance of the mean if groups are drawn, over that if
    images are drawn, at least 1. Where all values are equal, they say nothing of it: the number of groups.

    Args:
        values: float64 [N], such as 1 for an image that was labelled right.
        groups: the group of each of the N images.

    Source: J. N. K. Rao, A. J. Scott, A simple method for the analysis of clustered binary data,
    Biometrics 48, 1992.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(numbers.max()) + 1
    rest = values - values.mean()
    if count == 1 or not rest.any():
        return float(count)
    of_groups = count / (count - 1) * float((np.bincount(numbers, weights=rest) ** 2).sum())
    return len(values) / max(1.0, of_groups / float((rest**2).sum()))


def of_share(
    right: NDArray[np.bool_],
    groups: Groups | None,
    confidence: float,
    method: Callable[[float, float, float], Interval] = wilson,
) -> Interval:
    """The interval of the share of True, of as many images as would be independent.

    Args:
        right: bool [N], N at least 1.
        groups: the group of each image; None if each counts for itself.
        method: `wilson` or `exact`.
    """
    values = right.astype(np.float64)
    independent = float(len(values)) if groups is None else effective_images(values, groups)
    return method(independent * float(values.mean()), independent, confidence)


def weights_of(
    images: int, resamples: int, seed: int, rows: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Bootstrap resamples, as counts of how often each image was drawn: blocks of int64 [images, B].

    The draws do not depend on the size of a block.

    Args:
        rows: to which the caller widens a block; `images` by default.
    """
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // max(images, rows or 0))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = generator.integers(0, images, size=(size, images))
        cells = (drawn + images * np.arange(size)[:, None]).ravel()
        counts = np.bincount(cells, minlength=images * size)
        yield np.ascontiguousarray(counts.reshape(size, images).T, dtype=np.int64)


def group_weights(groups: NDArray[np.int64], resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Cluster bootstrap resamples: whole groups are drawn, so that images of one count together.

    Args:
        groups: int64 [images], the number of each image's group, from 0.

    Source: C. A. Field, A. H. Welsh, Bootstrapping clustered data, Journal of the Royal Statistical Society B
    69, 2007 (the randomized cluster bootstrap).
    """
    for weights in weights_of(int(groups.max()) + 1, resamples, seed, len(groups)):
        yield np.ascontiguousarray(weights[groups])


def percentile(values: NDArray[np.float64], confidence: float) -> Interval | None:
    """The middle `confidence` of the values that are not NaN; None if all are NaN.

    Source: B. Efron, R. Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
