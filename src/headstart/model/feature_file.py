"""The stored features, read in pieces so that memory stays bounded."""

from collections.abc import Iterator
from pathlib import Path

import torch

from headstart.model.checkpoint import RowReader

TENSOR = "features"


class Features:
    """The features file, with the metadata that says how it was made."""

    def __init__(self, path: Path) -> None:
        self._reader = RowReader(path, TENSOR)
        self.metadata = self._reader.metadata
        self.shape = self._reader.shape

    def __len__(self) -> int:
        return int(self.shape[0])

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """float32 [stop - start, *shape]."""
        return self._reader.rows(start, stop).float()

    def batches(self, rows: range, size: int) -> Iterator[tuple[range, torch.Tensor]]:
        """Consecutive batches of `rows`, in order."""
        for start in range(rows.start, rows.stop, size):
            part = range(start, min(start + size, rows.stop))
            yield part, self.rows(part.start, part.stop)
