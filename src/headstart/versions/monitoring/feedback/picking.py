"""Choose images to label: the least certain and the most unlike training, all different from each other."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.versions.monitoring.two_sample import distances

Why = Literal["uncertain", "unlike"]
SHORTLIST = 3  # times as many candidates as are wanted; of these, those furthest from each other


def choose(
    confidence: NDArray[np.float64],
    unlike: NDArray[np.float64],
    features: NDArray[np.float32],
    families: Sequence[int],
    count: int,
) -> list[tuple[int, Why]]:
    """Places of at most `count` images, half by each reason, at most one per family.

    Args:
        confidence: float64 [N], of the most probable class.
        unlike: float64 [N], the distance from the training images.
        features: float32 [N, D], in which images are apart from each other.
        families: equal numbers for near duplicates.
    """
    chosen: dict[int, Why] = {}
    used: set[int] = set()
    orders: dict[Why, Sequence[int]] = {
        "uncertain": np.argsort(confidence, kind="stable").tolist(),
        "unlike": np.argsort(-unlike, kind="stable").tolist(),
    }
    shares = {"uncertain": count - count // 2, "unlike": count // 2}
    for why, order in orders.items():
        listed = _one_per_family(order, families, used)[: SHORTLIST * shares[why]]
        for place in _apart(listed, [*chosen], features, shares[why]):
            chosen[place] = why
            used.add(families[place])
    return list(chosen.items())


def _one_per_family(order: Sequence[int], families: Sequence[int], used: set[int]) -> list[int]:
    first: dict[int, int] = {}
    for place in order:
        if families[place] not in used:
            first.setdefault(families[place], place)
    return list(first.values())


def _apart(
    listed: Sequence[int], chosen: Sequence[int], features: NDArray[np.float32], count: int
) -> list[int]:
    """The first of the list, then in turn the one that is furthest from all that are chosen.

    Source: T. F. Gonzalez, Clustering to minimize the maximum intercluster distance, 1985.
    """
    if not listed or not count:
        return []
    rows = features[list(listed)]
    nearest = np.full(len(listed), np.inf)
    if chosen:
        nearest = distances(rows, features[list(chosen)]).min(axis=1).astype(np.float64)
    found = [0]
    nearest = np.minimum(nearest, distances(rows, rows[:1])[:, 0])
    while len(found) < min(count, len(listed)):
        nearest[found] = -1
        found.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances(rows, rows[found[-1:]])[:, 0])
    return [listed[place] for place in found]
