"""Digests of files by their path, so that a file that has not changed since is not read again."""

import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.pipeline.store.rows import RowStore, recipe_digest

FILE = "files.sqlite"
MOST = 500_000_000  # bytes: two million files
SETTLED_NS = 2_000_000_000  # coarser than the clock of any file system: FAT counts in 2 s
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Look:
    """A regular file as `Path.stat` shows it.

    Attributes:
        path: as it was asked for.
        size: in bytes.
        mark: size, times of modification and of change (ns since 1970) and inode, as text.
        is_settled: the last change is so long ago that another one would show in the times.
    """

    path: Path
    size: int
    mark: str
    is_settled: bool


def look_at(path: Path) -> Look | None:
    """Look at a file, or at the file that a link leads to; None if it is no regular file or unreadable."""
    now = time.time_ns()
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.R_OK):
        return None
    mark = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
    return Look(path, found.st_size, mark, found.st_ctime_ns < now - SETTLED_NS)


class SeenFiles:
    """SHA-256 digests of files on this machine, each believed while the file looks the same.

    Git and DVC decide so too. Unlike DVC this compares the time of change (ctime), which no program can set
    back, and like git it does not believe a look at a file that was written a moment before: the next write
    could leave the same times.
    """

    def __init__(self, rows: RowStore) -> None:
        self._rows = rows
        self._recipe = recipe_digest({"rows": "files seen"}, __name__)

    def digests(self, looks: Sequence[Look | None]) -> list[str | None]:
        """The digest of each file; None if it is unknown or has changed."""
        rows = self._rows.get(self._recipe, [_key(look.path) for look in looks if look])
        found = iter(rows)
        return [_digest(look, next(found)) if look else None for look in looks]

    def remember(self, read: Mapping[Look, str]) -> None:
        """Store the digests of files that were read after the look at them.

        A file that looks different now, or was not settled, is left out.
        """
        rows = {
            _key(look.path): bytes.fromhex(sha) + look.mark.encode()
            for look, sha in read.items()
            if look.is_settled and _is_as(look)
        }
        self._rows.put(self._recipe, rows)


def _is_as(look: Look) -> bool:
    now = look_at(look.path)
    return now is not None and now.mark == look.mark


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()


def _digest(look: Look, row: bytes | None) -> str | None:
    if row is None or row[DIGEST_BYTES:] != look.mark.encode():
        return None
    return row[:DIGEST_BYTES].hex()
