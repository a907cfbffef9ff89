"""Temperature scaling: one number that makes a head's probabilities as sure as its answers are right."""

import numpy as np
import torch
from numpy.typing import NDArray

TENSOR = "temperature.value"  # in the head's file: float64, without dimensions; a head without it has 1
LEAST, MOST = 0.01, 100.0
STEPS = 60  # halvings of the interval between them


def probabilities_of(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """The softmax of logits [N, C] over a temperature, taken in float64: float64 [N, C].

    The order of the classes is that of the logits, whatever the temperature.
    """
    return (logits.double() / temperature).softmax(1)


def rescaled(probabilities: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Probabilities [N, C] as they were at `factor` times their temperature: float64 [N, C]."""
    return probabilities_of(torch.from_numpy(_logarithms(probabilities)), factor).numpy()


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature at which held-out images have the least log loss, from 0.01 to 100.

    The labels count as almost certain, as if one image were right and one wrong besides them: without that a
    split on which all answers are right would have no best temperature but 0, that is, certainty.

    Args:
        logits: float64 [N, C]; logarithms of probabilities give the factor to their own temperature.
        labels: int64 [N].

    Sources: C. Guo et al., On calibration of modern neural networks, 2017; J. Platt, Probabilistic outputs
    for support vector machines, 1999 (the targets).
    """
    count, classes = logits.shape
    shifted = logits - logits.max(1, keepdims=True)
    own = shifted[np.arange(count), labels]
    wrong = 1 / (count + 2)
    # the mean logit of the target: 1 - wrong for the label, the rest spread over the other classes
    aimed = float(((1 - wrong) * own + wrong * (shifted.sum(1) - own) / (classes - 1)).mean())

    def is_too_sure(inverse: float) -> bool:
        """The sign of the loss's derivative by 1 / temperature, which rises with it: the loss is convex."""
        weights = np.exp(shifted * inverse)
        return float(((weights * shifted).sum(1) / weights.sum(1)).mean()) > aimed

    low, high = np.log(1 / MOST), np.log(1 / LEAST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_too_sure(float(np.exp(middle))) else (middle, high)
    return float(np.exp(-(low + high) / 2)) if shifted.any() else 1.0


def fit_factor(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """`fit_temperature` for probabilities [N, C]: what their temperature should be multiplied by."""
    return fit_temperature(_logarithms(probabilities), labels)


def _logarithms(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)))
