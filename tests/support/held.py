"""Stored features that a test makes up."""

import numpy as np
import torch


class Held:
    """Rows in memory, float32 [N, *row_shape], which remember how many were read at once."""

    views = 1

    def __init__(self, values: np.ndarray) -> None:
        self._values = torch.from_numpy(values.astype(np.float32))
        self.row_shape = tuple(values.shape[1:])
        self.most = 0

    def rows(self, start: int, stop: int) -> torch.Tensor:
        self.most = max(self.most, stop - start)
        return self._values[start:stop]

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        return self.rows(start, start + len(views))
