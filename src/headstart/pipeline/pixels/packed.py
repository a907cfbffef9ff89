"""Packed images: uint8 [side, side, 3] each, held in a local store and made again from the image files."""

import hashlib
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.errors import DeterminismError
from headstart.ground import paths
from headstart.ground.paths import cache_folder
from headstart.ground.reading import reading
from headstart.pipeline.store.rows import RowStore
from headstart.pipeline.store.store import Store, most_bytes

FILE = "pixels.sqlite"
SETTING = "HEADSTART_PIXELS_GB"
ROWS = hashlib.sha256(b"packed pixels by the SHA-256 of their own bytes").hexdigest()
NEEDED = ("path", "sha256", "packed")  # columns of `artifacts/images.parquet`
WINDOW = 64  # images in flight: 10 MB of packed pixels


@dataclass(frozen=True)
class Packing:
    """The way in which all images of a table were packed.

    Attributes:
        arch, weights: of torchvision's weights whose transform is used.
        side: of a packed image, in pixels.
    """

    arch: str
    weights: str
    side: int

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Packing":
        with reading(paths.IMAGE_TABLE):
            return cls(**table.attrs["packing"])

    def recorded(self) -> dict[str, Any]:
        """For a table's `attrs`."""
        return {"packing": asdict(self)}


class PackedImages:
    """The packed images of a table, by position.

    Pixels that the store lacks are made again from the image files, compared with their digest in the table,
    and stored.

    Args:
        table: `artifacts/images.parquet`, at least its columns NEEDED.
        root: of the project.
    """

    def __init__(self, table: pd.DataFrame, root: Path = Path()) -> None:
        self._packing = Packing.of(table)
        with reading(paths.IMAGE_TABLE):
            self._table = table[list(NEEDED)]
        self._data = root / paths.DATA
        self.shape = (len(table), self._packing.side, self._packing.side, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def are_held(self) -> bool:
        """Whether the store has the pixels of every image, so that no image file is read."""
        return all(self._store.has(ROWS, self._table["packed"].tolist()))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """uint8 [stop - start, H, W, 3].

        Raises:
            DataError: pixels that the store lacks cannot be made, because a file is missing or has changed.
            DeterminismError: they were made, and differ from those in the table.
        """
        return self.at(range(start, stop))

    def pictures(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """Single images, uint8 [H, W, 3]; a few are read at once. Raises as `rows` does."""
        for start in range(0, len(positions), WINDOW):
            yield from self.at(positions[start : start + WINDOW])

    def at(self, positions: Sequence[int]) -> np.ndarray:
        """Images by position, uint8 [N, H, W, 3]. Raises as `rows` does."""
        found = np.empty((len(positions), *self.shape[1:]), np.uint8)
        digests = self._table["packed"].iloc[list(positions)].tolist()
        lost = []
        for place, row in enumerate(self._store.get(ROWS, digests)):
            if row is None:
                lost.append(place)
            else:
                found[place] = self._as_picture(row)
        for begin in range(0, len(lost), WINDOW):
            places = lost[begin : begin + WINDOW]
            for place, row in zip(places, self._made([positions[place] for place in places]), strict=True):
                found[place] = self._as_picture(row)
        return found

    def _as_picture(self, row: bytes) -> np.ndarray:
        return np.frombuffer(row, np.uint8).reshape(self.shape[1:])

    def _made(self, positions: Sequence[int]) -> list[bytes]:
        from headstart.pipeline.pixels.packing import pack_file  # torchvision takes 3.5 s to import
        from headstart.pipeline.pixels.transforms import transform_of

        transform = transform_of(self._packing.arch, self._packing.weights)
        wanted = list(self._table.iloc[list(positions)].itertuples())
        with ThreadPoolExecutor() as pool:
            rows = list(pool.map(lambda row: pack_file(self._data / row.path, row.sha256, transform), wanted))
        for row, digest in zip(wanted, put_rows(self._store, rows, drops=False), strict=True):
            if digest != row.packed:
                raise DeterminismError(
                    f"{self._data / row.path}, packed again, has pixels {digest[:12]}, and "
                    f"{paths.IMAGE_TABLE} names {row.packed[:12]}: another machine or library made that "
                    "table; `dvc repro --force --single-item preprocess` makes it here, and `headstart "
                    "reproduce --from preprocess` that of a version"
                )
        return rows

    @cached_property
    def _store(self) -> Store:
        store = open_pixels()
        weakref.finalize(self, store.close)
        return store


def open_pixels() -> Store:
    """The store of packed images, beside that of other rows.

    Raises:
        ArgumentError: HEADSTART_PIXELS_GB is not a number of gigabytes above 0.
    """
    return Store(cache_folder(), FILE, most_bytes(SETTING))


def put_rows(store: RowStore, rows: Iterable[bytes], drops: bool = True) -> list[str]:
    """Store packed images, and return the digest of each; see `Store.put`."""
    named = [(hashlib.sha256(row).hexdigest(), row) for row in rows]
    store.put(ROWS, dict(named), drops)
    return [digest for digest, _ in named]
