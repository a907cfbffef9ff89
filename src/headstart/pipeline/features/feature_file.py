"""Rows that the trained part reads, one per image, loaded in pieces so that memory stays bounded."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from headstart.ground import runtime
from headstart.pipeline.network.checkpoint import FEATURES, RowReader, metadata

TENSOR = "features"
MOVED = 4096  # rows moved to a device at once


@dataclass(frozen=True)
class Views:
    """The location of the extra views of the training images.

    View v of row r is row `offset + (v - 1) * rows + r - first`.

    Attributes:
        count: views per image, including the plain one.
        first, rows: the range of rows that have extra views.
        offset: the first row of view 1.
        seed: seed of the views.
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
        """Number of views of each training image, including the plain one."""

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """float32 [stop - start, *row_shape], on the CPU, or on the device if they are resident."""

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        """Rows from `start` on, each in the view given by `views`: float32 [len(views), *row_shape]."""


class Features:
    """The features file, with the metadata that records how it was made."""

    def __init__(self, path: Path) -> None:
        reader = RowReader(path, TENSOR)
        self.metadata = reader.metadata
        self.row_shape = reader.shape[1:]
        self.bytes = math.prod(reader.shape) * reader.dtype.itemsize
        self._reader: RowReader | _DeviceReader = reader
        found = self.metadata.get("views")
        self._views = Views(**found) if found else None

    @property
    def views(self) -> int:
        return self._views.count if self._views else 1

    def move_to(self, device: torch.device) -> "Features":
        """Load all rows into the memory of `device`, to be read from there."""
        if isinstance(self._reader, RowReader):
            self._reader = _DeviceReader(self._reader, device)
        return self

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return self._reader.rows(start, stop).float()

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        data = self.rows(start, start + len(views))
        if self._views is None:
            return data
        data = data.clone()
        place = self._views
        for index in np.flatnonzero(views):
            row = place.offset + (int(views[index]) - 1) * place.rows + start + int(index) - place.first
            data[index] = self.rows(row, row + 1)[0]
        return data


class _DeviceReader:
    """Rows in the memory of a device, loaded from the file once."""

    def __init__(self, reader: RowReader, device: torch.device) -> None:
        self._rows = torch.empty(reader.shape, dtype=reader.dtype, device=device)
        for start in range(0, len(self._rows), MOVED):
            part = reader.rows(start, min(start + MOVED, len(self._rows)))
            self._rows[start : start + MOVED] = runtime.to_device(part, device)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return self._rows[start:stop]


def resident(rows: Rows) -> Rows:
    """The same rows, in the accelerator's memory if it has room for all of them."""
    if isinstance(rows, Features) and runtime.fits_device(rows.bytes):
        return rows.move_to(runtime.device())
    return rows


def features_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a features file, whether it holds rows or refers to the images."""
    return metadata(path, FEATURES)


def batches(source: Rows, rows: range, size: int) -> Iterator[tuple[range, torch.Tensor]]:
    """Consecutive batches of `rows`, in order, on the device; maps are in channels_last order."""
    for start in range(rows.start, rows.stop, size):
        part = range(start, min(start + size, rows.stop))
        yield part, on_device(source.rows(part.start, part.stop))


def on_device(batch: torch.Tensor) -> torch.Tensor:
    """A batch on the head's device; maps in channels_last order, as the frozen part makes them."""
    moved = batch.to(runtime.device(), non_blocking=True)
    return moved.contiguous(memory_format=torch.channels_last) if moved.dim() == 4 else moved
