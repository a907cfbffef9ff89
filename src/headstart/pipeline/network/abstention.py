"""Refusing to answer: a head gives no label if its confidence is below its threshold."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.errors import ModelError
from headstart.pipeline.network.settings import Abstain

CONFIDENCE, RATE = "abstain.confidence", "abstain.rate"  # in the head's file: float64, without dimensions


@dataclass(frozen=True)
class Abstention:
    """When a head refuses.

    Attributes:
        confidence: an image whose most probable class has less is refused.
        rate: the share of the validation images that this refused.
    """

    confidence: float
    rate: float

    def refuses(self, probabilities: NDArray[np.float64]) -> bool:
        """Whether an image with these probabilities [C] gets no label."""
        return bool(probabilities.max() < self.confidence)

    @property
    def reason(self) -> str:
        """Why there is no label; the same for all images of a version."""
        return f"refused: the confidence is below {self.confidence:.4g}"

    def tensors(self) -> dict[str, torch.Tensor]:
        """The form in which the head's file holds it."""
        values = {CONFIDENCE: self.confidence, RATE: self.rate}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def read_abstention(tensors: dict[str, torch.Tensor], name: str) -> Abstention | None:
    """The abstention that a head's file holds; None if it answers always.

    Args:
        name: of the file, for errors.

    Raises:
        ModelError: a value is not a share.
    """
    if CONFIDENCE not in tensors:
        return None
    found = Abstention(float(tensors[CONFIDENCE]), float(tensors[RATE]))
    if not (0 <= found.confidence <= 1 and 0 <= found.rate <= 1):
        raise ModelError(
            f"{name} refuses below {found.confidence} at a rate of {found.rate}; expected shares"
        )
    return found


def fit_abstention(wanted: Abstain, probabilities: NDArray[np.float64]) -> Abstention:
    """The threshold that was set, or the one that refuses the wanted share of validation images [M, C]."""
    sure = probabilities.max(1)
    if wanted.confidence is None:
        assert wanted.rate is not None
        threshold = threshold_at(sure, wanted.rate)
    else:
        threshold = wanted.confidence
    return Abstention(threshold, float((sure < threshold).mean()))


def threshold_at(scores: NDArray[np.float64], rate: float) -> float:
    """The score below which at most a share of the scores [M] lies, less if they tie.

    It is half-way between two of them, so that no image of theirs lies just at it.
    """
    ranked = np.sort(scores)
    place = int(rate * len(ranked))
    return float((ranked[place - 1] + ranked[place]) / 2 if place else ranked[0])
