"""The distance of each image from the nearest training image, in the vectors that `inspect` compares."""

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.features.vectors import Vectors

AT_ONCE = 256  # images compared at once with a block of training images
BLOCK = 8192


def nearest_training(vectors: Vectors, train: range, others: list[range]) -> list[NDArray[np.float64]]:
    """Euclidean distances from the nearest training image, one array per range of rows: float64 [len(range)].

    Args:
        vectors: float32 [N, D], of the images of all splits.
        train: rows of the training images.
        others: ranges of rows to measure.
    """
    known = vectors[train.start : train.stop]
    return [_nearest(vectors[each.start : each.stop], known) for each in others]


def _nearest(own: Vectors, known: Vectors) -> NDArray[np.float64]:
    """The least distance of each row of float32 [N, D] from those of float32 [M, D]: float64 [N]."""
    squares = np.full(len(own), np.inf, np.float32)
    for block in range(0, len(known), BLOCK):
        some = known[block : block + BLOCK]
        lengths = (some**2).sum(1)
        for start in range(0, len(own), AT_ONCE):
            part = own[start : start + AT_ONCE]
            found = (lengths - 2 * part @ some.T).min(1) + (part**2).sum(1)
            squares[start : start + AT_ONCE] = np.minimum(squares[start : start + AT_ONCE], found)
    return np.sqrt(np.maximum(squares, 0)).astype(np.float64)
