"""Read image files: regular files of bounded size, with names that can be recorded."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from headstart.errors import DataError

LARGEST_BYTES = 512 << 20  # the largest picture that is decoded, uncompressed
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
NOT_UTF8 = "its name is not UTF-8; rename it (`convmv` renames many)"


def read_file(path: Path) -> bytes:
    """The bytes of an image file, as many as it has at the moment.

    Raises:
        DataError: it is no regular file, too large, or its name is not UTF-8.
        OSError: it cannot be read.
    """
    if not is_utf8(str(path)):
        raise DataError(NOT_UTF8)
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_BYTES:
            raise DataError(f"holds {size} bytes, expected at most {LARGEST_BYTES}; make it smaller")
        return file.read(size)


def open_file(path: Path) -> BinaryIO:
    """Open a regular file; pipes and devices are not opened, because reading them might never end.

    Raises:
        DataError: it is no regular file.
        OSError: it cannot be opened.
    """
    if kind := kind_of(path.stat().st_mode):
        raise DataError(f"is {kind}, expected a file")
    return open(path, "rb", opener=_at_once)


def kind_of(mode: int) -> str:
    """In words, what a mode of `os.stat` stands for; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "something else")


def is_utf8(name: str) -> bool:
    """Whether the name of a file can be written down; Python marks other bytes by lone surrogates."""
    return shown(name) == name


def shown(name: str) -> str:
    """A name as text that can be printed and stored: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end, should the file have become a pipe meanwhile."""
    return os.open(path, flags | os.O_NONBLOCK)
