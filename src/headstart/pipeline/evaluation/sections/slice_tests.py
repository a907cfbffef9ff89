"""Is a part of the test images labelled worse than the others, beyond chance?"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import t

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

SMALL = 5  # images of a class; classes with fewer are compared as one


def strata_of(labels: Numbers) -> Numbers:
    """The images that are compared with one another: those of a class, and those of all small classes.

    Args:
        labels: int64 [N]. Classes of fewer than 5 images are one stratum: alone they could show nothing.

    Returns:
        int64 [N], numbers of strata from 0.
    """
    small = np.bincount(labels)[labels] < SMALL
    return np.asarray(np.unique(np.where(small, -1, labels), return_inverse=True)[1])


def p_worse(right: Mask, member: Mask, strata: Numbers, groups: Numbers | None) -> float:
    """How often chance alone would give the members of a slice at most as many right answers.

    The exact test of a common odds ratio: given the right answers of each stratum, those of the members
    follow a hypergeometric distribution. With groups, whose images are right or wrong together, it is the
    larger of that and a score test whose variance is that of the groups' sums, by a t distribution.

    Args:
        right: bool [N], whether an image was labelled right.
        member: bool [N], whether it is in the slice.
        strata: int64 [N]; only images of one stratum are compared.
        groups: int64 [N], the group of each image; None if images are independent.

    Sources: J. J. Gart, Point and interval estimation of the common odds ratio in the combination of 2 x 2
    tables with fixed marginals, Biometrika 57, 1970; D. D. Boos, On generalized score tests, The American
    Statistician 46, 1992.
    """
    exact = _exact(right, member, strata)
    return exact if groups is None else max(exact, _of_groups(right, member, strata, groups))


def holm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for their number, so that the chance of any false alarm stays at the level.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6, 1979.
    """
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return corrected


def rest_share(right: Mask, member: Mask, strata: Numbers) -> float | None:
    """The share of right answers that others of the same strata have, weighted as the members are.

    None if no member has another image in its stratum.
    """
    count = int(strata.max()) + 1
    members = np.bincount(strata[member], minlength=count)
    others = np.bincount(strata[~member], minlength=count)
    hits = np.bincount(strata[~member], weights=right[~member], minlength=count)
    both = (members > 0) & (others > 0)
    if not both.any():
        return None
    return float((members[both] * hits[both] / others[both]).sum() / members[both].sum())


def _exact(right: Mask, member: Mask, strata: Numbers) -> float:
    count = int(strata.max()) + 1
    sizes = np.bincount(strata, minlength=count)
    hits = np.bincount(strata[right], minlength=count)
    members = np.bincount(strata[member], minlength=count)
    found = int(np.bincount(strata[member & right], minlength=count).sum())
    least, shares = 0, np.ones(1)
    for size, hit, drawn in zip(sizes.tolist(), hits.tolist(), members.tolist(), strict=True):
        low, part = _hypergeometric(size, hit, drawn)
        least += low
        shares = part if len(shares) == 1 else np.convolve(shares, part)
    return float(min(1.0, shares[: found - least + 1].sum()))


def _hypergeometric(size: int, hits: int, drawn: int) -> tuple[int, NDArray[np.float64]]:
    """The least number of hits among `drawn` of `size`, and the probabilities of that and all larger ones."""
    low, high = max(0, drawn + hits - size), min(drawn, hits)
    numbers = np.arange(low, high + 1)
    logs = _choose(hits, numbers) + _choose(size - hits, drawn - numbers) - _choose(size, np.array(drawn))
    return low, np.exp(logs)


def _choose(size: int, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = gammaln(size + 1) - gammaln(numbers + 1) - gammaln(size - numbers + 1)
    return logs


def _of_groups(right: Mask, member: Mask, strata: Numbers, groups: Numbers) -> float:
    inside, outside = len(np.unique(groups[member])), len(np.unique(groups[~member]))
    freedom = min(inside, outside) - 1
    if freedom < 1:
        return 1.0  # one group: nothing shows whether others like it would be as bad
    score = _centred(right, strata) * _centred(member, strata)
    spread = float((np.bincount(groups, weights=score) ** 2).sum())
    return float(t.cdf(score.sum() / spread**0.5, freedom)) if spread > 0 else 1.0


def _centred(values: Mask, strata: Numbers) -> NDArray[np.float64]:
    means = np.bincount(strata, weights=values) / np.maximum(np.bincount(strata), 1)
    return values - means[strata]
