"""Confidence intervals: Wilson's for a share, percentiles of bootstrap resamples for the rest; and groups."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

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
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def effective_images(values: NDArray[np.float64], groups: Sequence[str]) -> float:
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


def weights_of(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Bootstrap resamples, as counts of how often each image was drawn: blocks of int64 [images, B].

    The draws do not depend on the size of a block.
    """
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // images)
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
    for weights in weights_of(int(groups.max()) + 1, resamples, seed):
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
