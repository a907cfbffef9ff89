"""The rows of one split, their classes, and the weights of classes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from headstart.errors import DataError
from headstart.pipeline.network.class_names import check_names

BALANCED = "balanced"


@dataclass(frozen=True)
class LabelledRows:
    """A range of rows of the features file, and the class index of each: int64 [len(indices)]."""

    indices: range
    labels: torch.Tensor

    def labels_of(self, part: range) -> torch.Tensor:
        """The class indices of some of the rows."""
        return self.labels[part.start - self.indices.start : part.stop - self.indices.start]


def rows_of(table: pd.DataFrame, split: str, classes: tuple[str, ...]) -> LabelledRows:
    """The rows of one split in the table of packed images, where they are contiguous.

    Raises:
        DataError: the split is empty.
    """
    positions = np.flatnonzero(table["split"].to_numpy() == split)
    if not len(positions):
        raise DataError(f"there are no {split} images; run the validate stage again")
    index = {name: number for number, name in enumerate(classes)}
    rows = range(int(positions[0]), int(positions[-1]) + 1)
    labels = table["label"].iloc[rows.start : rows.stop].map(index).tolist()
    return LabelledRows(rows, torch.tensor(labels))


def class_weights(
    wanted: str | Mapping[str, float] | None, classes: tuple[str, ...], labels: torch.Tensor
) -> torch.Tensor | None:
    """`train.class_weights` as float32 [C], None if all images weigh the same.

    `balanced` is images / (classes x images of the class), as in scikit-learn; a mapping names the
    weights of some classes, and the others weigh 1.

    Raises:
        ParamsError: the mapping names a class that does not exist.
    """
    if wanted is None:
        return None
    if isinstance(wanted, str):
        counts = torch.bincount(labels, minlength=len(classes)).double()
        return (len(labels) / (len(classes) * counts)).float()
    check_names("train.class_weights", wanted, classes)
    return torch.tensor([float(wanted.get(name, 1.0)) for name in classes])
