"""Find nearly equal pictures: re-encoded, resized, shifted or mirrored copies, frames of one scene.

Pictures are compared by small grey thumbnails, less the mean thumbnail of the set: what all pictures share,
such as the background of a fixed camera, does not make two of them alike. Pairs that correlate at a coarse
resolution under a small shift are compared again at the full one. Unlike a perceptual hash this finds shifted
copies, and tells apart pictures taken of different things at one place.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32  # of a thumbnail
COARSE = 16
SHIFT = 3  # pixels of a thumbnail: a tenth of the side
CANDIDATE, ALIKE = 0.65, 0.93  # least correlation: coarse, full
BLOCK_BYTES = 2**25  # of correlations held at once
FLAT = 2.0  # levels of deviation below which a thumbnail has nothing to compare

Thumbnails = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """Two nearly equal pictures by their places, `first` < `second`; similarity is a correlation up to 1."""

    first: int
    second: int
    similarity: float
    mirrored: bool


def thumbnail(picture: Image.Image) -> Thumbnails:
    """Grey, squashed to a square: uint8 [32, 32]."""
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0))


def near_duplicates(
    thumbnails: Thumbnails, advance: Callable[[int], object] = lambda count: None
) -> list[Pair]:
    """All pairs of nearly equal pictures, the most similar first.

    Time grows with the square of their number; memory holds a block of correlations and 2 KB per picture.

    Args:
        thumbnails: uint8 [N, 32, 32].
        advance: called with the number of pictures just compared with all others.
    """
    if len(thumbnails) < 2:
        return []
    mean = thumbnails.mean(axis=0, dtype=np.float64).astype(np.float32)
    coarse = _coarse(thumbnails, mean)
    every = _normalised(coarse)
    block = max(1, BLOCK_BYTES // (4 * len(thumbnails)))
    found: list[Pair] = []
    for start in range(0, len(thumbnails), block):
        stop = min(start + block, len(thumbnails))
        for mirrored in (False, True):
            rows = coarse[start:stop]
            likely = _likely(rows[:, :, ::-1] if mirrored else rows, every[start:], start)
            found += _verified(thumbnails, mean, likely, mirrored)
        advance(stop - start)
    best: dict[tuple[int, int], Pair] = {}
    for pair in found:
        key = pair.first, pair.second
        if key not in best or pair.similarity > best[key].similarity:
            best[key] = pair
    return sorted(best.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


def clusters(count: int, pairs: Sequence[Pair]) -> list[int]:
    """For each of `count` pictures the lowest place that pairs connect it with, itself if there are none."""
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for pair in pairs:
        first, second = sorted((root(pair.first), root(pair.second)))
        parent[second] = first
    return [root(place) for place in range(count)]


def _coarse(thumbnails: Thumbnails, mean: Floats) -> Floats:
    """float32 [N, 16, 16] less the mean, filled by blocks."""
    factor = SIDE // COARSE
    coarse = np.empty((len(thumbnails), COARSE, COARSE), np.float32)
    for start in range(0, len(thumbnails), 4096):
        own = thumbnails[start : start + 4096].astype(np.float32) - mean
        coarse[start : start + len(own)] = own.reshape(-1, COARSE, factor, COARSE, factor).mean((2, 4))
    return coarse


def _normalised(rows: Floats) -> Floats:
    """Rows of length 1 around 0, float32 [N, D]; flat ones are 0."""
    flat = rows.reshape(len(rows), -1)
    flat = flat - flat.mean(1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    least = FLAT * np.sqrt(flat.shape[1])
    return np.where(norms > least, flat / np.maximum(norms, least), 0).astype(np.float32)


def _likely(rows: Floats, every: Floats, start: int) -> NDArray[np.int64]:
    """Places [K, 2] of pairs in order that correlate coarsely under a shift of at most one pixel."""
    best = np.full((len(rows), len(every)), -1, np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shifted = _normalised(np.roll(rows, (down, right), (1, 2)))
            np.maximum(best, shifted @ every.T, out=best)
    pairs = np.argwhere(best > CANDIDATE) + start
    ordered: NDArray[np.int64] = pairs[pairs[:, 0] < pairs[:, 1]]
    return ordered


def _verified(
    thumbnails: Thumbnails, mean: Floats, pairs: NDArray[np.int64], mirrored: bool
) -> Iterator[Pair]:
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        first = thumbnails[part[:, 0]].astype(np.float32) - mean
        second = thumbnails[part[:, 1]].astype(np.float32) - mean
        similarity = _best_overlap(first[:, :, ::-1] if mirrored else first, second)
        for place in np.flatnonzero(similarity >= ALIKE):
            yield Pair(int(part[place, 0]), int(part[place, 1]), float(similarity[place]), mirrored)


def _best_overlap(first: Floats, second: Floats) -> Floats:
    """The highest correlation of what overlaps, over all shifts of at most SHIFT pixels: [K]."""
    best = np.full(len(first), -1, np.float32)
    for down in range(-SHIFT, SHIFT + 1):
        for right in range(-SHIFT, SHIFT + 1):
            own, other = first[:, _part(down), _part(right)], second[:, _part(-down), _part(-right)]
            products = (_normalised(own) * _normalised(other)).sum(1)
            np.maximum(best, products, out=best)
    return best


def _part(shift: int) -> slice:
    return slice(max(0, shift), SIDE + min(0, shift))
