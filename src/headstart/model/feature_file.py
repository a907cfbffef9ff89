"""What the trained part reads, a row an image, in pieces so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from headstart import runtime
from headstart.model.checkpoint import RowReader, metadata

TENSOR = "features"


@dataclass(frozen=True)
class Views:
    """Where the further views of the training images lie.

    View v of row r is row `offset + (v - 1) * rows + r - first`.

    Attributes:
        count: views an image, the plain one included.
        first, rows: the range of rows that have further views.
        offset: the first row of view 1.
        seed: of the views.
    """

    count: int
    first: int
    rows: int
    offset: int
    seed: int

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


class Rows(Protocol):
    """Inputs of the layers after the cut."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""

    @property
    def views(self) -> int:
        """Views of each training image, the plain one included."""

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """float32 [stop - start, *row_shape], on the CPU."""

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        """Rows from `start` on, each in the view that `views` names: float32 [len(views), *row_shape]."""


class Features:
    """The features file, with the metadata that says how it was made."""

    def __init__(self, path: Path) -> None:
        self._reader = RowReader(path, TENSOR)
        self.metadata = self._reader.metadata
        self.row_shape = self._reader.shape[1:]
        found = self.metadata.get("views")
        self._views = Views(**found) if found else None

    @property
    def views(self) -> int:
        return self._views.count if self._views else 1

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return self._reader.rows(start, stop).float()

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        data = self.rows(start, start + len(views))
        if self._views is None:
            return data
        place = self._views
        for index in np.flatnonzero(views):
            row = place.offset + (int(views[index]) - 1) * place.rows + start + int(index) - place.first
            data[index] = self.rows(row, row + 1)[0]
        return data


def features_metadata(path: Path) -> dict[str, Any]:
    """What a features file says of itself, whether it holds rows or refers to the images."""
    return metadata(path)


def batches(source: Rows, rows: range, size: int) -> Iterator[tuple[range, torch.Tensor]]:
    """Consecutive batches of `rows`, in order, on the device; maps are in channels_last order."""
    for start in range(rows.start, rows.stop, size):
        part = range(start, min(start + size, rows.stop))
        yield part, on_device(source.rows(part.start, part.stop))


def on_device(batch: torch.Tensor) -> torch.Tensor:
    """A batch where the head runs; maps in channels_last order, as the frozen part makes them."""
    moved = batch.to(runtime.device(), non_blocking=True)
    return moved.contiguous(memory_format=torch.channels_last) if moved.dim() == 4 else moved
