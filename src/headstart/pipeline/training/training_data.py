"""The network and the rows that training reads."""

from dataclasses import dataclass

import torch

from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Rows
from headstart.pipeline.network.network import Network


@dataclass(frozen=True)
class TrainingData:
    """Everything that training needs apart from its settings and starting weights.

    Attributes:
        rows: inputs of the layers after the cut, of all splits.
        train, val: the rows to learn from, and those that choose the best epoch.
        class_weights: float32 [C], the weight of an image by its class; None for equal weights.
    """

    network: Network
    rows: Rows
    train: LabelledRows
    val: LabelledRows
    class_weights: torch.Tensor | None = None
