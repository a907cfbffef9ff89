"""A content-addressed store of computed rows, so that work is done only once per image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from types import TracebackType

import lmdb

from headstart.errors import HeadstartError

MAP_BYTES = 2**42  # address space, not disk: LMDB's file grows with its contents
MAPPED_BYTES = 2**27  # read before the map is reopened, because its pages count as this process's memory


class Store:
    """Rows by recipe and key, in one LMDB file shared by processes; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = RLock()
        self._read = 0
        self._lmdb = self._open()

    def _open(self) -> lmdb.Environment:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return lmdb.open(
                str(self._folder / "rows.lmdb"),
                subdir=False,
                map_size=MAP_BYTES,
                metasync=False,
                readahead=False,
                max_readers=512,
            )
        except (OSError, lmdb.Error) as error:
            raise HeadstartError(
                f"cannot use the store of computed rows in {self._folder}: {error}; set HEADSTART_CACHE to a "
                "writable folder, or delete this one (it is only a cache)"
            ) from error

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lmdb.close()

    def get(self, recipe: str, keys: Sequence[str]) -> list[bytes | None]:
        """The rows of hexadecimal `keys`; None for each that is not stored yet."""
        with self._lock:
            with self._lmdb.begin() as transaction:
                rows: list[bytes | None] = [transaction.get(_key(recipe, key)) for key in keys]
            self._read += sum(len(row) for row in rows if row is not None)
            if self._read > MAPPED_BYTES:
                self._lmdb.close()
                self._lmdb = self._open()
                self._read = 0
        return rows

    def has(self, recipe: str, keys: Sequence[str]) -> list[bool]:
        """Whether each key has a row, without reading any."""
        with self._lock, self._lmdb.begin() as transaction, transaction.cursor() as cursor:
            return [cursor.set_key(_key(recipe, key)) for key in keys]

    def put(self, recipe: str, rows: Mapping[str, bytes]) -> None:
        """Add rows; they are on disk when this returns."""
        try:
            with self._lock, self._lmdb.begin(write=True) as transaction:
                for key, row in rows.items():
                    transaction.put(_key(recipe, key), row)
        except lmdb.Error as error:
            raise HeadstartError(
                f"cannot write to the store {self._lmdb.path()}: {error}; make room on its disk, or set "
                "HEADSTART_CACHE to a folder on another one"
            ) from error


def _key(recipe: str, key: str) -> bytes:
    return bytes.fromhex(recipe)[:16] + bytes.fromhex(key)
