"""How the probe's accuracy grows with the training images, and how much twice as many would add."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, group_weights, percentile
from headstart.pipeline.evaluation.probe import fit, sums_of
from headstart.pipeline.features.vectors import Vectors

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)  # of the training images
DRAWS = 10
RESAMPLES = 500
FLOORS = np.linspace(0, 0.95, 20)  # of the least error: what no number of images would remove
LAST = 3  # points of a curve that show its present slope
LEAST_SIZES = 4  # on which a power law with a floor can be fitted
LEAST_OF_CLASS = 10  # training images: with 6 the truth was above the interval, with 15 within
LEAST_GROUPS = 30  # of the test images
WIDEST = 0.1  # an interval that is wider says nothing

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Growth:
    """The answers of probes that were trained on growing parts of the training images.

    Attributes:
        sizes: float64 [S], training images of each part, the mean over the draws.
        right: bool [DRAWS, S, N], whether a test image was labelled right; the draws of the last size agree.
    """

    sizes: NDArray[np.float64]
    right: NDArray[np.bool_]
    classes: int

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """float64 [DRAWS, S]."""
        return np.asarray(self.right.mean(2))


def grow(
    vectors: Vectors,
    labels: Numbers,
    families: Numbers,
    train: NDArray[np.bool_],
    test: Numbers,
    classes: int,
    seed: int,
) -> Growth:
    """Train a probe on 10, 20, 40, 70 and 100% of the training images, 10 draws of each.

    A draw adds images to those of its smaller parts; groups stay together, and classes keep their shares.

    Args:
        vectors: float32 [M, D], of all images, as are `labels`, `families` and `train`.
        families: int64 [M], the number of each image's group.
        train: bool [M], the training images.
        test: int64 [N], places of the test images.
    """
    random = np.random.default_rng(seed)
    own = np.flatnonzero(train)
    entries = [entries_of(labels[own], families[own], random) for _ in range(DRAWS)]
    sizes = np.array([np.mean([(entry < share).sum() for entry in entries]) for share in SHARES])
    differs = np.append(np.diff(sizes) > 0, True)  # of a few images, several shares are the same
    sizes, shares = sizes[differs], np.array(SHARES)[differs]
    right = np.empty((DRAWS, len(shares), len(test)), bool)
    asked = vectors[test]
    for draw, entry in enumerate(entries):
        for place, share in enumerate(shares.tolist()):
            if share == 1 and draw:
                right[draw, place] = right[0, place]
                continue
            part = own[entry < share]
            probe = fit(sums_of(vectors[part], labels[part], classes))
            right[draw, place] = probe.classes_of(asked) == labels[test]
    return Growth(sizes, right, classes)


def entries_of(labels: Numbers, families: Numbers, random: np.random.Generator) -> NDArray[np.float64]:
    """The share of its class after which each image enters a growing set: float64 [N], in [0, 1).

    Families enter as a whole, in random order; the class of a family is that of its first image.
    """
    _, first, numbers = np.unique(families, return_index=True, return_inverse=True)
    sizes = np.bincount(numbers)
    kinds = labels[first]
    order = random.permutation(len(sizes))
    order = order[np.argsort(kinds[order], kind="stable")]
    totals = np.bincount(kinds, weights=sizes)
    before = np.cumsum(sizes[order]) - sizes[order]
    starts = np.cumsum(totals) - totals
    entries = np.empty(len(sizes))
    entries[order] = (before - starts[kinds[order]]) / totals[kinds[order]]
    return entries[numbers]


def gain(growth: Growth, groups: Numbers, confidence: float, seed: int) -> Interval | None:
    """By how much the accuracy would rise with twice the training images, extrapolated by a power law.

    The error is fitted by floor + factor x images^exponent. The interval is that of a bootstrap of the draws
    and of the groups of test images, over two ways to fit. None if nothing can be said: fewer than 4 sizes,
    fewer than 10 training images per class (the slope may still rise), test images of fewer than 30 groups,
    no mistake that is left to mend, or an interval wider than 10 points.

    Args:
        groups: int64 [N], the group of each test image, from 0.

    Source: J. Hestness et al., Deep learning scaling is predictable, empirically, 2017.
    """
    if hindrance(growth, groups):
        return None
    draws, sizes, images = growth.right.shape
    wrong = (~growth.right).reshape(draws * sizes, images).astype(np.float64)
    random = np.random.default_rng(seed)
    gains = []
    for weights in group_weights(groups, RESAMPLES, seed):
        errors = (wrong @ weights / weights.sum(0)).reshape(draws, sizes, -1)
        drawn = random.multinomial(draws, np.full(draws, 1 / draws), size=errors.shape[2]) / draws
        means = np.einsum("dsb,bd->bs", errors, drawn)
        gains.append(_gains(growth.sizes, (means * images + 0.5) / (images + 1)))
    found = percentile(np.concatenate(gains), confidence)
    if found is None or found.high - found.low > WIDEST:
        return None
    left = 1 - float(growth.right[0, -1].mean())  # no number of images adds more than what is missing
    return Interval(min(found.low, left), min(found.high, left))


def hindrance(growth: Growth, groups: Numbers) -> str:
    """The reason why nothing can be said before any curve is fitted, as part of a sentence; empty if none."""
    of_class, tested = growth.sizes[-1] / growth.classes, len(np.unique(groups))
    if of_class < LEAST_OF_CLASS:
        return (
            f"it takes {LEAST_OF_CLASS} training images per class, and there are {_down(of_class)} on average"
        )
    if growth.right[0, -1].all():
        return "the probe makes no mistake any more"
    if len(growth.sizes) < LEAST_SIZES:
        sizes = len(growth.sizes)
        return f"the training images can be divided into {sizes} sizes only, and it takes {LEAST_SIZES}"
    if tested < LEAST_GROUPS:
        return f"it takes {LEAST_GROUPS} independent test images, and there are {tested}"
    return ""


def _down(value: float) -> str:
    """A number with one decimal, rounded down, so that one below a limit stays below it."""
    return f"{math.floor(10 * value) / 10:g}"


def _gains(sizes: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fall of the error from the last size to twice that: [B], by turns from two fits.

    One is the power law with a floor through all points, the other that without one through the last three:
    which of them holds cannot be seen from so few points, so both are in the interval.

    Args:
        errors: float64 [B, S], in (0, 1).
    """
    gains = np.empty(len(errors))
    gains[::2] = _of_power_law(sizes, errors[::2], FLOORS)
    gains[1::2] = _of_power_law(sizes[-LAST:], errors[1::2, -LAST:], FLOORS[:1])
    return gains


def _of_power_law(
    sizes: NDArray[np.float64], errors: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The fall by the power law whose floor, one of these shares of the least error, fits best: [B]."""
    floors = shares[:, None] * errors.min(1)
    logs = np.log(errors - floors[:, :, None])
    places = np.log(sizes / sizes[-1])
    middle = places.mean()
    slopes = (logs * (places - middle)).sum(2) / ((places - middle) ** 2).sum()
    starts = logs.mean(2) - slopes * middle
    fitted = floors[:, :, None] + np.exp(starts[:, :, None] + slopes[:, :, None] * places)
    best = (((fitted - errors) / errors) ** 2).sum(2).argmin(0)
    every = np.arange(len(errors))
    start, slope = starts[best, every], slopes[best, every]
    gains: NDArray[np.float64] = np.exp(start) - np.exp(start + slope * np.log(2))
    return gains
