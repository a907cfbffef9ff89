"""Find image files by name, folder or pattern."""

import glob
from collections.abc import Iterable
from pathlib import Path

from headstart.errors import DataError


def find_images(patterns: Iterable[str]) -> list[Path]:
    """List files, the files in folders, and the matches of glob patterns, in the order given.

    Hidden files are skipped.

    Raises:
        DataError: a folder holds no file, or a pattern matches none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(path)))
        elif path.exists() or not glob.has_magic(pattern):
            files = [path]  # a missing file is reported with the others
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - in any folder
            files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise DataError(f"{pattern} matches no file")
        found.update(dict.fromkeys(files))
    return list(found)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
