"""Find the new images least like the training images, by distance to the nearest of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.versions.monitoring.two_sample import distances

NEAREST = 5
LEAST = 0.1  # smallest scale, as a share of the median deviation


@dataclass(frozen=True)
class Unusualness:
    """Mean distance to the nearest training images, in features scaled to deviation 1.

    Attributes:
        reference: from each training image to the others: float64 [M].
        new: from each new image: float64 [N].
    """

    reference: NDArray[np.float64]
    new: NDArray[np.float64]

    def further_than(self) -> NDArray[np.float64]:
        """For each new image, the share of training images that are nearer to their neighbours."""
        ranks = np.searchsorted(np.sort(self.reference), self.new, side="left")
        return ranks / len(self.reference)


def unusualness(reference: NDArray[np.float32], new: NDArray[np.float32]) -> Unusualness:
    """Distances for rows [M, D] and [N, D], scaled by the reference only, so that outliers stand out.

    Features that hardly vary in the reference are scaled by a tenth of the median deviation, or they would
    dominate.
    """
    deviation = reference.std(axis=0, dtype=np.float64)
    varies = deviation[deviation > 0]
    scale = np.maximum(deviation, LEAST * float(np.median(varies)) if len(varies) else 1.0)
    mean = reference.mean(axis=0, dtype=np.float64)
    known, seen = (((rows - mean) / scale).astype(np.float32) for rows in (reference, new))
    own = distances(known, known)
    np.fill_diagonal(own, np.inf)
    return Unusualness(_to_nearest(own), _to_nearest(distances(seen, known)))


def _to_nearest(apart: NDArray[np.float32]) -> NDArray[np.float64]:
    count = min(NEAREST, apart.shape[1] - 1)
    nearest = np.partition(apart, count - 1, axis=1)[:, :count]
    found: NDArray[np.float64] = nearest.mean(axis=1, dtype=np.float64)
    return found
