"""Packed images on disk: a .npy array uint8 [N, H, W, 3], written and read row by row."""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from headstart.errors import DataError
from headstart.ground.reading import MAKE_AGAIN


class PackedImages:
    """Rows of a packed .npy array, read by position so that memory stays bounded."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                self.shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                self._start = file.tell()
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {path} as packed images: {error}; {MAKE_AGAIN}") from error
        if dtype != np.uint8 or len(self.shape) != 4:
            raise DataError(f"{path} holds {dtype} {self.shape}, expected uint8 [N, H, W, 3]; {MAKE_AGAIN}")
        size = self._start + math.prod(self.shape)
        if (found := path.stat().st_size) != size:
            raise DataError(f"{path} has {found:,} bytes, expected {size:,}: it was cut off; {MAKE_AGAIN}")
        self._path = path

    def __len__(self) -> int:
        return int(self.shape[0])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """uint8 [stop - start, H, W, 3]."""
        size = int(np.prod(self.shape[1:]))
        offset = self._start + start * size
        flat = np.fromfile(self._path, np.uint8, count=(stop - start) * size, offset=offset)
        return flat.reshape(stop - start, *self.shape[1:])


def write_npy_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Start a .npy file of uint8 rows; the rows follow."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
