"""Image files that a person names: by themselves, by their folder, or by a pattern."""

import glob
from collections.abc import Iterable
from pathlib import Path

from headstart.errors import DataError


def find_images(patterns: Iterable[str]) -> list[Path]:
    """Files, the files of folders, and what glob patterns match, in the order given.

    Hidden files are passed over.

    Raises:
        DataError: a folder or a pattern without any file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(path)))
        elif path.exists() or not glob.has_magic(pattern):
            files = [path]  # one that is missing is reported with the others
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - of any folder
            files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise DataError(f"{pattern} matches no file")
        found.update(dict.fromkeys(files))
    return list(found)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
