"""Two-sample tests by permutation: exact at any number of images, with ties and in any dimension.

If both samples come from one distribution, their labels are exchangeable, and a p-value
(1 + permutations that differ as much) / (1 + permutations) is at most alpha with a probability of at most
alpha: E. L. Lehmann, J. P. Romano, Testing statistical hypotheses, 2005, chapter 15.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 250  # permutations held at once
ROUNDING = 1e-6  # relative; a permuted statistic this close to the observed one counts as equal


@dataclass(frozen=True)
class Outcome:
    """A test's result: how far apart the samples are, and how often chance alone takes them as far."""

    statistic: float
    p_value: float


def energy_test(
    reference: NDArray[np.float32], new: NDArray[np.float32], permutations: int, seed: int
) -> Outcome:
    """Energy distance between rows, each column standardised over both samples.

    The statistic is the distance's share of twice the mean distance between the samples: 0 if they have the
    same distribution, 1 if each is a single point. Source: G. J. Székely, M. L. Rizzo, Energy statistics,
    2013.

    Args:
        reference: [M, D].
        new: [N, D].
    """
    rows = standardised(np.concatenate([reference, new]))
    apart = distances(rows, rows)
    total, of_row = float(apart.sum()), apart.sum(axis=1)
    found = []
    for chosen in _labels(len(reference), len(new), permutations, seed):
        within = np.einsum("np,np->p", chosen, apart @ chosen)  # new to new, both ways
        from_new = of_row @ chosen
        others = total - 2 * from_new + within
        m, n = len(reference), len(new)
        between = (from_new - within) / (m * n)
        energy = 2 * between - within / (n * n) - others / (m * m)
        found.append(energy / np.maximum(2 * between, np.finfo(np.float64).tiny))
    return _tested(np.concatenate(found))


def largest_gap_test(
    reference: NDArray[np.float64], new: NDArray[np.float64], permutations: int, seed: int
) -> Outcome:
    """Largest distance between two distribution functions: the Kolmogorov-Smirnov statistic."""
    values = np.concatenate([reference, new])
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(values[order]) > 0, True))  # the last of each group of ties
    m, n = len(reference), len(new)
    below = (ends + 1).astype(np.float64)[:, None]
    found = []
    for chosen in _labels(m, n, permutations, seed):
        of_new = np.cumsum(chosen[order], axis=0, dtype=np.float64)[ends]
        found.append(np.abs(of_new / n - (below - of_new) / m).max(axis=0))
    return _tested(np.concatenate(found))


def shares_test(reference: Sequence[str], new: Sequence[str], permutations: int, seed: int) -> Outcome:
    """Test whether names have the same shares, by Pearson's chi-square over permuted tables.

    The statistic returned is the total variation distance: the share of images that would have to change
    their name.
    """
    names = sorted({*reference, *new})
    counts = np.array([[list(side).count(name) for name in names] for side in (reference, new)], np.int64)
    column, m, n = counts.sum(axis=0), len(reference), len(new)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.multivariate_hypergeometric(column, n, size=permutations)
    expected = column * (n / (m + n))
    chi_square = ((np.concatenate([counts[1:], drawn]) - expected) ** 2 / expected).sum(axis=1)
    apart = float(np.abs(counts[0] / m - counts[1] / n).sum() / 2)
    return Outcome(apart, _tested(chi_square).p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those up to alpha makes any error with a probability of at most alpha.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def standardised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns scaled to mean 0 and deviation 1; constant columns carry no information and are dropped."""
    deviation = rows.std(axis=0, dtype=np.float64)
    used = deviation > 1e-6 * max(1e-12, float(deviation.max(initial=0)))
    mean = rows[:, used].mean(axis=0, dtype=np.float64)
    scaled: NDArray[np.float32] = ((rows[:, used] - mean) / deviation[used]).astype(np.float32)
    return scaled


def distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances between all pairs of rows: [M, N]; 0 between a row and itself."""
    squares = [(rows.astype(np.float64) ** 2).sum(axis=1) for rows in (left, right)]
    apart = squares[0][:, None] + squares[1] - 2 * (left @ right.T)
    found: NDArray[np.float32] = np.sqrt(np.maximum(apart, 0)).astype(np.float32)
    if left is right:
        np.fill_diagonal(found, 0)
    return found


def _labels(m: int, n: int, permutations: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield labels, 1 for rows taken as new, one column per permutation; the first is as observed."""
    observed = np.repeat(np.array([0, 1], np.float32), [m, n])
    yield observed[:, None]
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, permutations, BLOCK):
        count = min(BLOCK, permutations - start)
        yield generator.permuted(np.tile(observed[:, None], count), axis=0)


def _tested(found: NDArray[np.float64]) -> Outcome:
    """The outcome from an array of statistics, the observed one first."""
    observed, permuted = float(found[0]), found[1:]
    as_far = int((permuted >= observed - ROUNDING * abs(observed)).sum())
    return Outcome(observed, (1 + as_far) / (1 + len(permuted)))
