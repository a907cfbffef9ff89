"""The area under the ROC curve, from ranks."""

import numpy as np
from numpy.typing import NDArray


def auc(scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by midranks; NaN if a side has no images.

    Counts in integers until the single division, so that neither ties nor the order of summation change a
    bit.

    Args:
        scores: float64 [N], higher for the positive class.
        positives: bool [N].

    Source: H. Mann, D. Whitney, On a test of whether one of two random variables is stochastically larger
    than the other, 1947.
    """
    own, rest = scores[positives], np.sort(scores[~positives])
    if not len(own) or not len(rest):
        return float("nan")
    doubled = np.searchsorted(rest, own, side="left").sum() + np.searchsorted(rest, own, side="right").sum()
    return float(doubled / (2 * len(own) * len(rest)))
