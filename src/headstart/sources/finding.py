"""Find image files by name, folder or pattern."""

import glob
import sys
from collections.abc import Iterable
from pathlib import Path

from headstart.errors import DataError
from headstart.ground.wording import named
from headstart.pipeline.data.listing import list_folder

SHOWN = 5  # ignored files that are named


def find_images(patterns: Iterable[str]) -> list[Path]:
    """List files, the images in folders, and the matches of glob patterns, in the order given.

    In folders, hidden files and files that are not images by name and content are skipped; the latter are
    named on standard error.

    Raises:
        DataError: a folder holds no image, or a pattern matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = _in_folder(path)
        elif path.exists() or not glob.has_magic(pattern):
            files = [path]  # a missing file is reported with the others
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - in any folder
            files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise DataError(f"{pattern} {'holds no image' if path.is_dir() else 'matches no file'}")
        found.update(dict.fromkeys(files))
    return list(found)


def _in_folder(folder: Path) -> list[Path]:
    listing = list_folder(folder, is_versioned=False)
    if listing.others:
        print(f"{folder}: ignored files that are not images: {named(listing.others, SHOWN)}", file=sys.stderr)
    return [folder / name for name in listing.images]
