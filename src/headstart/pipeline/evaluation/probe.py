"""A quick classifier on the stored features, which stands for the head if many would have to be trained.

Linear discriminant analysis, with the covariance shrunk as the number of images demands. It is fitted from
sums alone, so that the fit of any union or difference of parts costs milliseconds. Deep features suit it:
T. L. Hayes, C. Kanan, Lifelong machine learning with deep streaming linear discriminant analysis, CVPR
Workshops 2020.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from headstart.pipeline.features.vectors import Vectors

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
PART = 2048  # rows that are labelled at once


@dataclass(frozen=True)
class Sums:
    """All that a fit needs to know of some images; those of two parts can be added and subtracted.

    Attributes:
        counts: float64 [C], images of each class.
        totals: float64 [C, D], the sums of their vectors.
        products: float64 [D, D], the sum of the outer products of all vectors.
    """

    counts: Floats
    totals: Floats
    products: Floats

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.counts + other.counts, self.totals + other.totals, self.products + other.products)

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(self.counts - other.counts, self.totals - other.totals, self.products - other.products)


def sums_of(vectors: Vectors, labels: Numbers, classes: int) -> Sums:
    """The sums of some images.

    Args:
        vectors: float32 [N, D].
        labels: int64 [N], below `classes`.
    """
    wide = vectors.astype(np.float64)
    places = (labels, np.arange(len(labels)))
    of_classes = csr_matrix((np.ones(len(labels)), places), shape=(classes, len(labels)))
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    return Sums(counts, of_classes @ wide, wide.T @ wide)


@dataclass(frozen=True)
class Probe:
    """A linear classifier: the class with the largest score is chosen, never one without a training image."""

    weights: Vectors
    biases: Vectors

    def classes_of(self, vectors: Vectors) -> Numbers:
        """The class chosen for each of the vectors float32 [N, D]: int64 [N]."""
        found = np.empty(len(vectors), np.int64)
        for start in range(0, len(vectors), PART):
            part = slice(start, start + PART)
            found[part] = (vectors[part] @ self.weights + self.biases).argmax(1)
        return found


def fit(sums: Sums) -> Probe:
    """The linear discriminant of the images that `sums` counts.

    Source of the shrinkage: Y. Chen, A. Wiesel, Y. C. Eldar, A. O. Hero, Shrinkage algorithms for MMSE
    covariance estimation, IEEE Transactions on Signal Processing 58, 2010 (OAS).
    """
    present = sums.counts > 0.5
    counts, totals = sums.counts[present], sums.totals[present]
    means = totals / counts[:, None]
    freedom = float(counts.sum()) - len(counts)
    within = sums.products - totals.T @ means
    covariance = _shrunk(within / max(freedom, 1.0), max(freedom, 1.0))
    directions = np.linalg.solve(covariance, means.T)
    weights = np.zeros((totals.shape[1], len(sums.counts)))
    biases = np.full(len(sums.counts), -np.inf)
    weights[:, present] = directions
    biases[present] = np.log(counts / counts.sum()) - 0.5 * (means.T * directions).sum(0)
    return Probe(weights.astype(np.float32), biases.astype(np.float32))


def _shrunk(covariance: Floats, freedom: float) -> Floats:
    """A covariance mixed with a multiple of the identity, which is all that is left if it is 0."""
    size = len(covariance)
    trace = float(np.trace(covariance))
    square = float((covariance**2).sum())
    if trace <= 1e-9 * size:
        return np.eye(size)
    above = (1 - 2 / size) * square + trace**2
    below = (freedom + 1 - 2 / size) * (square - trace**2 / size)
    share = 1.0 if below <= above else above / below
    share = max(share, 1e-6)  # so that constant features do not make it singular
    return (1 - share) * covariance + share * trace / size * np.eye(size)
