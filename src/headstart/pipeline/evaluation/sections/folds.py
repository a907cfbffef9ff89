"""Cross-validation of the probe over all images, with an interval that knows that its parts share images."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, effective_images, wilson
from headstart.pipeline.evaluation.probe import Sums, fit, sums_of
from headstart.pipeline.features.vectors import Vectors

REPEATS = 40
WORK = 3e8  # products of numbers that the repeats may take; large sets are repeated less often, but twice

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Folded:
    """The accuracy of probes on images that they have not seen.

    Attributes:
        accuracy: the mean over all images and repeats.
        right: bool [N], whether each image was labelled right in the first repeat.
    """

    accuracy: float
    interval: Interval
    right: NDArray[np.bool_]
    repeats: int


def cross_validate(
    vectors: Vectors,
    labels: Numbers,
    families: Numbers,
    classes: int,
    folds: int,
    confidence: float,
    seed: int,
) -> Folded:
    """Cross-validation with images of a family in one fold, and its nested interval.

    Usual intervals of cross-validation treat the errors as independent, although the folds share training
    images, and are too narrow. Nested cross-validation measures how far the estimate from the other folds is
    from the error on a fold.

    Args:
        vectors: float32 [N, D].
        labels: int64 [N], below `classes`.
        families: int64 [N], numbers of groups that stay together.
        folds: at least 3, at most the number of families.

    Source: S. Bates, T. Hastie, R. Tibshirani, Cross-validation: what does it estimate and how well does it
    do it?, Journal of the American Statistical Association 119, 2024.
    """
    random = np.random.default_rng(seed)
    width = vectors.shape[1]
    work = folds * len(labels) * width * max(classes, 10) + folds * (folds + 1) / 2 * width**3
    repeats = int(min(REPEATS, max(2, WORK // work)))
    names = families.astype(str)
    outer: list[float] = []
    inner: list[float] = []
    squares: list[float] = []
    first = np.empty(0, bool)
    for _ in range(repeats):
        of_image = folds_of(labels, families, folds, random)
        places = [np.flatnonzero(of_image == fold) for fold in range(folds)]
        right, seen = _answers(vectors, labels, places, classes)
        first = right if not len(first) else first
        outer.append(1 - float(right.mean()))
        for fold, own in enumerate(places):
            wrong = 1 - right[own].astype(np.float64)
            error = 1 - seen[fold]
            inner.append(error)
            independent = effective_images(wrong, names[own].tolist())
            squares.append((error - float(wrong.mean())) ** 2 - float(wrong.var()) / max(independent - 1, 1))
    error, nested = float(np.mean(outer)), float(np.mean(inner))
    usual = math.sqrt(error * (1 - error) / effective_images(first.astype(np.float64), names.tolist()))
    measured = math.sqrt((folds - 1) / folds * max(0.0, float(np.mean(squares))))
    spread = min(max(measured, usual), math.sqrt(folds) * usual)
    centre = nested - (1 + (folds - 2) / folds) * (nested - error)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    low, high = 1 - centre - half, 1 - centre + half
    independent = effective_images(first.astype(np.float64), names.tolist())
    least = wilson((1 - error) * independent, independent, confidence)  # without mistakes nothing spreads
    interval = Interval(max(0.0, min(low, least.low)), min(1.0, max(high, least.high)))
    return Folded(1 - error, interval, first, repeats)


def folds_of(labels: Numbers, families: Numbers, folds: int, random: np.random.Generator) -> Numbers:
    """The fold of each image: int64 [N]. Families are dealt in random order, class by class.

    The class of a family is that of its first image.
    """
    _, first, numbers = np.unique(families, return_index=True, return_inverse=True)
    order = random.permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    dealt = np.empty(len(first), np.int64)
    dealt[order] = np.arange(len(first)) % folds
    return np.asarray(dealt[numbers])


def _answers(
    vectors: Vectors, labels: Numbers, places: list[NDArray[np.int64]], classes: int
) -> tuple[NDArray[np.bool_], list[float]]:
    """Whether each image is right without its fold, and the accuracy of the others without each fold."""
    parts = [sums_of(vectors[own], labels[own], classes) for own in places]
    total = sum(parts[1:], parts[0])
    right = np.empty(len(labels), bool)
    hits = np.zeros(len(parts))
    for fold, own in enumerate(places):
        right[own] = _right(total - parts[fold], vectors, labels, own)
        for other in range(fold):
            both = total - parts[fold] - parts[other]
            hits[other] += _right(both, vectors, labels, own).sum()
            hits[fold] += _right(both, vectors, labels, places[other]).sum()
    others = len(labels) - np.array([len(own) for own in places])
    return right, (hits / others).tolist()


def _right(sums: Sums, vectors: Vectors, labels: Numbers, own: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(fit(sums).classes_of(vectors[own]) == labels[own])
