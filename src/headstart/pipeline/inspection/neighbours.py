"""The nearest pictures of each one, and how far from them it lies."""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from headstart.pipeline.features.vectors import Vectors

NEAREST = 10
SPREAD = 1.4826  # of a normal distribution, over the median absolute deviation


def neighbours(vectors: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places of the nearest others, the nearest first, and their distances: [N, at most 10] both."""
    count = min(NEAREST, len(vectors) - 1)
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors)
    distances, places = search.kneighbors()
    return places, distances


def unusualness(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Robust deviations of the logarithm of the mean distance to the neighbours from its median: [N].

    Source: F. Angiulli, C. Pizzuti, Fast outlier detection in high dimensional spaces, PKDD 2002 (distance to
    the nearest neighbours).
    """
    mean = np.log(np.maximum(distances.mean(1), 1e-12))
    middle = np.median(mean)
    spread = SPREAD * float(np.median(np.abs(mean - middle)))
    result: NDArray[np.float64] = (mean - middle) / max(spread, 1e-6)
    return result
