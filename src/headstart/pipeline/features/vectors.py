"""One short vector per image, from the stored features, in memory that hardly grows with their number."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.features.feature_file import Rows

WIDEST = 512  # numbers of a row that are compared with one another
KEPT = 128  # principal components
READ = 512  # rows read at once

Vectors = NDArray[np.float32]


def vectors(rows: Rows, count: int, seed: int, advance: Callable[[int], object]) -> Vectors:
    """The principal components of standardised features: float32 [count, at most 128].

    Maps are averaged over their places. Rows of more than 512 numbers are first projected to 512 at random,
    which keeps distances: W. B. Johnson, J. Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert
    space, 1984.

    Args:
        rows: features, of which the first `count` are read twice.
        advance: called with the number of rows just read.
    """
    narrowed = Narrowed(rows, seed)
    every = range(count)
    total = np.zeros(narrowed.width)
    squares = np.zeros((narrowed.width, narrowed.width))
    for part in narrowed.parts(every):
        total += part.sum(0, dtype=np.float64)
        squares += part.T.astype(np.float64) @ part
        advance(len(part))
    mean = total / count
    covariance = squares / count - np.outer(mean, mean)
    scale = 1 / np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    values, axes = np.linalg.eigh(covariance * np.outer(scale, scale))
    kept = min(KEPT, narrowed.width, max(count - 1, 1))
    axes = axes[:, np.argsort(values)[::-1][:kept]] * scale[:, None]
    found = np.empty((count, kept), np.float32)
    start = 0
    for part in narrowed.parts(every):
        found[start : start + len(part)] = (part - mean) @ axes
        start += len(part)
        advance(len(part))
    return found


class Narrowed:
    """Rows as vectors of at most 512 numbers, read in parts; see `vectors`."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self._rows = rows
        self._averaged = len(rows.row_shape) == 3
        wide = rows.row_shape[0] if self._averaged else int(np.prod(rows.row_shape))
        self.width = min(wide, WIDEST)
        self._projection = None
        if wide > WIDEST:
            random = np.random.default_rng(seed)
            self._projection = random.standard_normal((wide, WIDEST), np.float32) / np.float32(WIDEST**0.5)

    def parts(self, rows: range) -> Iterator[Vectors]:
        """Consecutive rows in parts of float32 [n, width], with n at most 512."""
        for start in range(rows.start, rows.stop, READ):
            yield self.read(start, min(start + READ, rows.stop))

    def read(self, start: int, stop: int) -> Vectors:
        """Stored rows: float32 [stop - start, width]."""
        return self.narrow(self._rows.rows(start, stop).cpu().numpy())

    def narrow(self, part: Vectors) -> Vectors:
        """Features float32 [n, *row_shape] as float32 [n, width]."""
        part = part.mean((2, 3)) if self._averaged else part.reshape(len(part), -1)
        return part if self._projection is None else part @ self._projection
