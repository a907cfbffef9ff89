"""The rows of one split, and the class of each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from headstart.errors import DataError


@dataclass(frozen=True)
class Rows:
    """A range of rows of the features file, and the class index of each: int64 [len(indices)]."""

    indices: range
    labels: torch.Tensor

    def labels_of(self, part: range) -> torch.Tensor:
        """The class indices of some of the rows."""
        return self.labels[part.start - self.indices.start : part.stop - self.indices.start]


def rows_of(table: pd.DataFrame, split: str, classes: tuple[str, ...]) -> Rows:
    """The rows of one split in the table of packed images, where they lie together.

    Raises:
        DataError: the split is empty.
    """
    positions = np.flatnonzero(table["split"].to_numpy() == split)
    if not len(positions):
        raise DataError(f"there are no {split} images; run the validate stage again")
    index = {name: number for number, name in enumerate(classes)}
    rows = range(int(positions[0]), int(positions[-1]) + 1)
    labels = table["label"].iloc[rows.start : rows.stop].map(index).tolist()
    return Rows(rows, torch.tensor(labels))
