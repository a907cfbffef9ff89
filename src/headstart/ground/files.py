"""Write files so that a reader never sees a partial one."""

import json
import os
import tempfile
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
            f"{name!r} is no path inside {folder}: the file that names it was damaged or changed, and is not "
            "followed; make or fetch it again"
        )
    return folder / name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file next to `path`; it replaces `path` if the block succeeds and is removed if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    written = Path(name)
    try:
        yield written
        written.chmod(0o644)
        written.replace(path)
    finally:
        with suppress(FileNotFoundError):
            written.unlink()


def write_text(path: Path, text: str) -> None:
    """Replace the contents of `path` with `text`, as UTF-8."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Replace the contents of `path` with an indented JSON document; NaN is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
