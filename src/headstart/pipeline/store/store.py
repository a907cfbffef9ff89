"""A content-addressed store of computed rows, so that work is done only once per image."""

import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TypeVar

from headstart.errors import ArgumentError, HeadstartError
from headstart.ground.paths import cache_folder

T = TypeVar("T")
log = logging.getLogger(__name__)

FILE = "rows.sqlite"
SETTING = "HEADSTART_ROWS_GB"
MOST_GB = 100.0
FORMAT = 1  # of the file; a store of another format is dropped
EARLIER = ("rows.lmdb", "rows.lmdb-lock")  # files of stores before this format
PAGE_BYTES = 2**14  # rows are a few KB to a few hundred KB
ASKED = 500  # keys per query
DAMAGED_ROW = b""  # in place of one; no row is empty
DROPPED_SHARE = 64  # of the rows go at once, those that were put first; a replaced row is a last one
DROPS = 4  # after one put: others may write in between
ENDS = "SELECT (SELECT min(rowid) FROM rows), (SELECT max(rowid) FROM rows)"  # together they scan an index
WAIT_SECONDS = 600  # while other processes write
# SQLite finds that the file is damaged, no database, or lacks the table
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)


class Store:
    """Rows by recipe and key, in one SQLite file shared by processes; use it as a context manager.

    Each row is stored with a checksum of its key and its bytes, which is compared whenever it is read. A
    damaged row counts as missing, and a damaged file is replaced by an empty one; a warning names it.

    Args:
        name: of the file in the folder.
        most: bytes that rows may take in the file; those that were put last stay.
    """

    def __init__(self, folder: Path, name: str = FILE, most: int = int(MOST_GB * 1e9)) -> None:
        self._path = folder / name
        self._most = most
        self._lock = RLock()
        self._remove(EARLIER, "of an earlier format")
        self._database = self._open()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def get(self, recipe: str, keys: Sequence[str]) -> list[bytes | None]:
        """The rows of hexadecimal `keys`; None for each that is not stored, or damaged."""
        found = self._do(lambda: self._read(recipe, keys))
        if lost := [key for key, row in zip(keys, found, strict=True) if row == DAMAGED_ROW]:
            told = "row is" if len(lost) == 1 else "rows are"
            log.warning(
                "%d %s damaged in %s: %s..., computed again", len(lost), told, self._path, lost[0][:12]
            )
            self._do(lambda: self._forget(recipe, lost))
        return [row or None for row in found]

    def has(self, recipe: str, keys: Sequence[str]) -> list[bool]:
        """Whether each key has a row, without reading any; `get` may still find that it is damaged.

        What `get` found to be damaged is gone.
        """

        def ask() -> list[bool]:
            wanted = [_key(recipe, key) for key in keys]
            known: set[bytes] = set()
            for start in range(0, len(wanted), ASKED):
                some = wanted[start : start + ASKED]
                marks = ",".join("?" * len(some))
                known.update(
                    key
                    for (key,) in self._database.execute(f"SELECT key FROM rows WHERE key IN ({marks})", some)
                )
            return [key in known for key in wanted]

        return self._do(ask)

    def put(self, recipe: str, rows: Mapping[str, bytes], drops: bool = True) -> None:
        """Add rows; they are in the file when this returns, if it has room or `drops` those that came first.

        Whoever reads rows in turn and stores those that are missing must not drop: each would else push out
        the one that is read next.
        """
        if not rows or (not drops and self._do(self._used) + sum(map(len, rows.values())) > self._most):
            return

        def write() -> None:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:  # commits, or rolls back
                for key, row in rows.items():
                    own = _key(recipe, key)
                    self._database.execute(
                        "REPLACE INTO rows VALUES (?, ?, ?)", (own, _checksum(own, row), row)
                    )

        self._do(write)
        for _ in range(DROPS):
            if not self._do(lambda: self._drop_first(len(rows))):
                break

    def _used(self) -> int:
        """Bytes of the file that hold something; SQLite writes new rows into the rest."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _drop_first(self, count: int) -> bool:
        """Drop some of the rows that were put first, at least `count`; False if there is room."""
        if self._used() <= self._most:
            return False
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            first, last = self._database.execute(ENDS).fetchone()
            if first is None:
                return False
            bound = first + max((last - first) // DROPPED_SHARE, count - 1)
            self._database.execute("DELETE FROM rows WHERE rowid <= ?", (bound,))
        return True

    def _read(self, recipe: str, keys: Sequence[str]) -> list[bytes | None]:
        self._database.execute("BEGIN")  # one lock for all keys
        with self._database:
            return [self._row(_key(recipe, key)) for key in keys]

    def _forget(self, recipe: str, keys: Sequence[str]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            for key in keys:
                if self._row(_key(recipe, key)) == DAMAGED_ROW:  # no other process has put it meanwhile
                    self._database.execute("DELETE FROM rows WHERE key = ?", (_key(recipe, key),))

    def _row(self, key: bytes) -> bytes | None:
        found = self._database.execute("SELECT checksum, row FROM rows WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        checksum, row = found
        return row if isinstance(row, bytes) and checksum == _checksum(key, row) else DAMAGED_ROW

    def _do(self, work: Callable[[], T]) -> T:
        """Do something with the database; once more if it proves damaged, or was deleted meanwhile."""
        with self._lock:
            try:
                return work()
            except sqlite3.Error as error:
                if _is_damaged(error):
                    self._database.close()
                    self._drop(f"damaged ({error})")
                elif error.sqlite_errorcode != sqlite3.SQLITE_READONLY_DBMOVED:
                    raise self._failure(error) from error
            self._database.close()
            self._database = self._open()
            try:
                return work()
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._connected()
            except sqlite3.Error as error:
                if not _is_damaged(error):
                    raise
                self._drop(f"damaged ({error})")
                return self._connected()
        except (OSError, sqlite3.Error) as error:
            raise HeadstartError(
                f"cannot use the store of computed rows in {self._path.parent}: {error}; set HEADSTART_CACHE "
                "to a writable folder, or delete this one (it is only a cache)"
            ) from error

    def _connected(self) -> sqlite3.Connection:
        database = self._connect()
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found == FORMAT:
            return database
        if found:
            database.close()
            self._drop("of another format")
            database = self._connect()
        database.execute("BEGIN IMMEDIATE")
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, checksum INTEGER, row BLOB) STRICT"
            )
            database.execute(f"PRAGMA user_version = {FORMAT}")
        return database

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        # Nothing is mapped into memory: a damaged file ends no process, and an address space may be limited.
        for setting in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = TRUNCATE",
            "synchronous = NORMAL",
            "cell_size_check = ON",
            "mmap_size = 0",
        ):
            database.execute(f"PRAGMA {setting}").fetchall()
        return database

    def _drop(self, reason: str) -> None:
        name = self._path.name
        self._remove((name, f"{name}-journal", f"{name}-wal", f"{name}-shm"), reason)

    def _remove(self, names: Sequence[str], reason: str) -> None:
        found = [path for name in names if (path := self._path.with_name(name)).exists()]
        if found:
            log.warning(
                "the store %s is %s: it is removed, and its rows are computed again", found[0], reason
            )
        for path in found:
            path.unlink(missing_ok=True)

    def _failure(self, error: sqlite3.Error) -> HeadstartError:
        return HeadstartError(
            f"cannot use the store {self._path}: {error}; make room on its disk, or set HEADSTART_CACHE to a "
            "folder on another one"
        )


def open_rows() -> Store:
    """The store of this machine's computed rows.

    Raises:
        ArgumentError: HEADSTART_ROWS_GB is not a number of gigabytes above 0.
    """
    return Store(cache_folder(), FILE, most_bytes(SETTING))


def most_bytes(setting: str) -> int:
    """The size of a store that the environment sets in gigabytes, by default 100.

    Raises:
        ArgumentError: it is not a number above 0.
    """
    given = os.environ.get(setting, "")
    try:
        most = int(float(given or MOST_GB) * 1e9)
    except (ValueError, OverflowError):
        most = 0
    if most < 1:
        raise ArgumentError(f"{setting} is {given!r}; expected gigabytes (10^9 bytes), such as {MOST_GB:g}")
    return most


def _is_damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def _key(recipe: str, key: str) -> bytes:
    return bytes.fromhex(recipe)[:16] + bytes.fromhex(key)


def _checksum(key: bytes, row: bytes) -> int:
    return zlib.crc32(row, zlib.crc32(key))
