"""Find nearly equal pictures: re-encoded, resized, shifted or mirrored copies, frames of one scene.

Pictures are compared by small grey thumbnails, less what they share: the mean thumbnail of the set, such as
the background of a fixed camera, and shading, such as light from one side, do not make two of them alike.
Pairs that correlate at a coarse resolution under a small shift are compared again at the full one. Unlike a
perceptual hash this finds shifted copies, and tells apart pictures taken of different things at one place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.data.thumbnails import SIDE, Thumbnails

COARSE = 16
SHIFT = 3  # pixels of a thumbnail: a tenth of the side
CANDIDATE, ALIKE = 0.6, 0.87  # least correlation: coarse, full
DIGITS = 4  # of a similarity: the rest depends on the order of summation
BLOCK_BYTES = 3 * 2**25  # of correlations held at once, in HELD arrays
HELD = 5
MOST = 32  # pictures that one is compared with at the full resolution
CHECKED = 1024  # pairs compared at the full resolution at once
FLAT = 2.0  # levels of deviation below which a thumbnail has nothing to compare

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two nearly equal pictures by their places, `first` < `second`; similarity is a correlation up to 1."""

    first: int
    second: int
    similarity: float
    mirrored: bool


def near_duplicates(
    thumbnails: Thumbnails, advance: Callable[[int], object] = lambda count: None
) -> list[Pair]:
    """Pairs of nearly equal pictures, the most similar first.

    They are enough to connect each group of near duplicates: a large group's other pairs are not looked at.
    Time grows with the square of the number of pictures; memory holds a block of correlations and 2 KB per
    picture.

    Args:
        thumbnails: uint8 [N, 32, 32].
        advance: called with the number of pictures just compared with all others.
    """
    if len(thumbnails) < 2:
        return []
    shared = _shared(thumbnails)
    coarse = _coarse(thumbnails, shared)
    unit = _normalised(coarse)
    every = _folded(unit)
    block = max(1, BLOCK_BYTES // (4 * HELD * len(thumbnails)))
    groups = Groups(len(thumbnails))
    found: dict[tuple[int, int], Pair] = {}
    for start in range(0, len(thumbnails), block):
        stop = min(start + block, len(thumbnails))
        for mirrored, best in enumerate(_correlations(unit[start:stop], every[start:])):
            likely = _likely(best) + start
            for pair in _verified(thumbnails, shared, likely, bool(mirrored), groups):
                key = pair.first, pair.second
                if key not in found or pair.similarity > found[key].similarity:
                    found[key] = pair
        advance(stop - start)
    return sorted(found.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


class Groups:
    """Places that pairs connect, directly or through others; each group is known by its lowest place."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, place: int) -> int:
        """The lowest place of the group."""
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def connect(self, first: int, second: int) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self._parent[high] = low


def _coarse(thumbnails: Thumbnails, shared: Floats) -> Floats:
    """The thumbnails' details at half the resolution: float32 [N, 16, 16], filled by blocks."""
    factor = SIDE // COARSE
    coarse = np.empty((len(thumbnails), COARSE, COARSE), np.float32)
    for start in range(0, len(thumbnails), 4096):
        own = _details(thumbnails[start : start + 4096], shared)
        coarse[start : start + len(own)] = own.reshape(-1, COARSE, factor, COARSE, factor).mean((2, 4))
    return coarse


def _details(thumbnails: Thumbnails, shared: Floats) -> Floats:
    """Thumbnails less what they share: float32 [K, 32, 32]; one without content becomes 0."""
    rows: Floats = thumbnails.astype(np.float32).reshape(len(thumbnails), -1)
    rows -= (rows @ shared) @ shared.T
    return rows.reshape(thumbnails.shape)


def _shared(thumbnails: Thumbnails) -> Floats:
    """An orthonormal basis of what pictures share: surfaces of second degree, and their mean: [1024, 7]."""
    down, right = np.meshgrid(*2 * [np.linspace(-1, 1, SIDE)], indexing="ij")
    surfaces = [np.ones_like(down), down, right, down**2, down * right, right**2]
    mean = thumbnails.mean(axis=0, dtype=np.float64)
    basis: Floats = np.linalg.qr(np.stack([*surfaces, mean], -1).reshape(SIDE * SIDE, -1))[0].astype(
        np.float32
    )
    return basis


def _normalised(rows: Floats) -> Floats:
    """Pictures of length 1 around 0, float32 [N, 16, 16]; flat ones are 0."""
    flat = rows.reshape(len(rows), -1)
    flat = flat - flat.mean(1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    least = FLAT * np.sqrt(flat.shape[1])
    unit = np.where(norms > least, flat / np.maximum(norms, least), 0).astype(np.float32)
    return unit.reshape(rows.shape)


def _folded(pictures: Floats) -> Floats:
    """Sums of the left half and the mirrored right one, then their differences: float32 [N, 256].

    Mirroring a picture changes the sign of the differences and nothing else.
    """
    left, right = pictures[:, :, : COARSE // 2], pictures[:, :, : COARSE // 2 - 1 : -1]
    return np.concatenate([left + right, left - right], 1).reshape(len(pictures), -1)


def _correlations(rows: Floats, every: Floats) -> Floats:
    """The highest correlation under a shift of at most one pixel, plain and mirrored: float32 [2, K, N].

    Args:
        rows: normalised pictures [K, 16, 16].
        every: normalised and folded pictures [N, 256].
    """
    best = np.full((2, len(rows), len(every)), -1, np.float32)
    even, odd, either = np.empty((3, len(rows), len(every)), np.float32)
    half = every.shape[1] // 2
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shifted = _folded(np.roll(rows, (down, right), (1, 2))) / 2
            np.matmul(shifted[:, :half], every[:, :half].T, out=even)
            np.matmul(shifted[:, half:], every[:, half:].T, out=odd)
            np.maximum(best[0], np.add(even, odd, out=either), out=best[0])
            np.maximum(best[1], np.subtract(even, odd, out=either), out=best[1])
    return best


def _likely(best: Floats) -> NDArray[np.int64]:
    """Places [K, 2] of pairs in order that correlate coarsely, counted from the block's start.

    Where many do, as pictures of one kind of thing before one background, the most similar of them.
    """
    best[np.tri(len(best), best.shape[1], dtype=bool)] = -1  # itself, and what comes before
    if best.shape[1] > MOST:
        least = np.partition(best, -MOST, axis=1)[:, -MOST]
        best[best < least[:, None]] = -1
    likely: NDArray[np.int64] = np.argwhere(best > CANDIDATE)
    return likely


def _verified(
    thumbnails: Thumbnails, shared: Floats, pairs: NDArray[np.int64], mirrored: bool, groups: Groups
) -> Iterator[Pair]:
    """Those of the likely pairs that are alike; those that earlier ones connect are not looked at."""
    for start in range(0, len(pairs), CHECKED):
        part = pairs[start : start + CHECKED]
        part = part[[groups.root(first) != groups.root(second) for first, second in part.tolist()]]
        if not len(part):
            continue
        first, second = (_details(thumbnails[part[:, side]], shared) for side in (0, 1))
        similarity = _best_overlap(first[:, :, ::-1] if mirrored else first, second)
        for place in np.flatnonzero(similarity >= ALIKE):
            pair = Pair(
                int(part[place, 0]), int(part[place, 1]), round(float(similarity[place]), DIGITS), mirrored
            )
            groups.connect(pair.first, pair.second)
            yield pair


def _best_overlap(first: Floats, second: Floats) -> Floats:
    """The highest correlation of what overlaps, over all shifts of at most SHIFT pixels: [K]."""
    best = np.full(len(first), -1, np.float32)
    sums = [_window_sums(each) for each in (first, second)]
    for down in range(-SHIFT, SHIFT + 1):
        for right in range(-SHIFT, SHIFT + 1):
            own, other = (_part(down), _part(right)), (_part(-down), _part(-right))
            products = np.einsum("kij,kij->k", first[:, *own], second[:, *other])
            area = (SIDE - abs(down)) * (SIDE - abs(right))
            (mean, spread), (other_mean, other_spread) = sums[0](own, area), sums[1](other, area)
            covariance = products / area - mean * other_mean
            sharp = (spread > FLAT**2) & (other_spread > FLAT**2)
            scale = np.sqrt(np.where(sharp, spread * other_spread, 1))
            np.maximum(best, np.where(sharp, covariance / scale, 0), out=best)
    return best


def _window_sums(pictures: Floats) -> Callable[[tuple[slice, slice], int], tuple[Doubles, Doubles]]:
    """A function of a window and its area: mean and variance of each picture in it, by summed-area tables.

    Source: F. C. Crow, Summed-area tables for texture mapping, SIGGRAPH 1984.
    """
    tables = []
    for values in (pictures, pictures * pictures):
        table = np.zeros((len(pictures), SIDE + 1, SIDE + 1), np.float64)
        np.cumsum(np.cumsum(values, 1, np.float64), 2, out=table[:, 1:, 1:])
        tables.append(table)

    def mean_and_variance(window: tuple[slice, slice], area: int) -> tuple[Doubles, Doubles]:
        (top, bottom), (left, right) = ((each.start, each.stop) for each in window)
        mean, square = (
            (each[:, bottom, right] - each[:, top, right] - each[:, bottom, left] + each[:, top, left]) / area
            for each in tables
        )
        return mean, square - mean * mean

    return mean_and_variance


def _part(shift: int) -> slice:
    return slice(max(0, shift), SIDE + min(0, shift))
