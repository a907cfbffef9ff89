"""Images most like another one, by the features at the cut."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.features.feature_file import Rows
from headstart.pipeline.features.vectors import Narrowed, Vectors

MEASURED = 20_000  # training rows from which mean and deviation are taken


@dataclass(frozen=True)
class Space:
    """Features as unit vectors, in which the product of two is their cosine similarity.

    Each number is centred and scaled by its mean and deviation over training images. Maps are averaged over
    their places, wide rows projected at random (`features.vectors.Narrowed`).

    Source: A. Babenko, V. Lempitsky, Aggregating deep convolutional features for image retrieval, ICCV 2015
    (pooled, standardised features compared by cosine).
    """

    narrowed: Narrowed
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Rows, train: range, seed: int) -> "Space":
        """The space of the stored features, measured on training images alone.

        Args:
            train: rows of the training split; the first 20,000 are measured, which are any, because rows
                are ordered by the pictures' digests.
            seed: of the projection of wide rows.
        """
        narrowed = Narrowed(rows, seed)
        measured = train[:MEASURED]
        total = np.zeros(narrowed.width)
        squares = np.zeros(narrowed.width)
        first = narrowed.read(train.start, train.start + 1)[0].astype(np.float64)
        for part in narrowed.parts(measured):
            apart = part - first  # so that squares of large means do not swallow small deviations
            total += apart.sum(0)
            squares += (apart**2).sum(0)
        mean = total / len(measured)
        variance = squares / len(measured) - mean**2
        scale = np.where(variance > 0, 1 / np.sqrt(np.maximum(variance, 1e-12)), 1)
        return cls(narrowed, (mean + first).astype(np.float32), scale.astype(np.float32))

    def vectors(self, rows: range) -> Iterator[Vectors]:
        """Unit vectors of stored rows, in order, in parts of float32 [n, D] with n at most 512."""
        for part in self.narrowed.parts(rows):
            yield self._units(part)

    def vectors_of(self, features: Vectors) -> Vectors:
        """Unit vectors of other features than the stored ones, float32 [n, *row_shape]: float32 [n, D]."""
        return self._units(self.narrowed.narrow(features))

    def _units(self, part: Vectors) -> Vectors:
        standard = (part - self.mean) * self.scale
        length = np.sqrt((standard**2).sum(1, keepdims=True))
        units: Vectors = standard / np.maximum(length, 1e-12)
        return units


@dataclass(frozen=True)
class Nearest:
    """A training image like another image; `similarity` is the cosine of their features, in [-1, 1]."""

    path: str
    label: str
    similarity: float
    thumbnail_jpeg: bytes


@dataclass(frozen=True)
class Found:
    """Stored rows most like each query, the most similar first.

    Attributes:
        rows: int64 [Q, K], places in the features file.
        similarities: float32 [Q, K], cosines in [-1, 1].
    """

    rows: NDArray[np.int64]
    similarities: Vectors


def most_similar(space: Space, queries: Vectors, among: range, count: int) -> Found:
    """The `count` rows among some stored ones that are most like each query, fewer if there are fewer.

    Memory does not grow with the number of rows. Of equally similar ones the first comes first.

    Args:
        queries: unit vectors of the space, float32 [Q, D].
    """
    rows = np.empty((len(queries), 0), np.int64)
    similarities = np.empty((len(queries), 0), np.float32)
    start = among.start
    for part in space.vectors(among):
        own = np.arange(start, start + len(part))
        rows = np.concatenate([rows, np.broadcast_to(own, (len(queries), len(part)))], axis=1)
        similarities = np.concatenate([similarities, queries @ part.T], axis=1)
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
        rows = np.take_along_axis(rows, best, 1)
        similarities = np.take_along_axis(similarities, best, 1)
        start += len(part)
    return Found(rows, np.clip(similarities, -1, 1))
