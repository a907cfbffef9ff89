"""Write files so that a reader never sees a partial one."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headstart.errors import HeadstartError


def inside(folder: Path, name: str) -> Path:
    """The path in `folder` that a file or a server names.

    Raises:
        HeadstartError: the name is empty or absolute, or leads out of the folder.
    """
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise HeadstartError(
            f"{name!r} does not lead into {folder}: the file that names it was damaged or changed, and is "
            "not followed; make or fetch it again"
        )
    return folder / name


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A new file next to `path`; it replaces `path` if the block succeeds and is removed if it fails.

    It has one name per path and is locked while it is written, so that the next writer overwrites what a
    killed one left, and waits for one that is still running.

    Args:
        mode: permissions of the finished file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    handle = _locked(new)
    try:
        yield new
        new.chmod(mode)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _locked(path: Path) -> int:
    """Open a file, empty and locked; the system unlocks it when the handle is closed or the process ends."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                os.truncate(handle, 0)
                return handle
        os.close(handle)  # meanwhile the writer that held it has renamed or removed it


def write_text(path: Path, text: str) -> None:
    """Replace the contents of `path` with `text`, as UTF-8."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Replace the contents of `path` with an indented JSON document; NaN is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
