"""Find image files by name, folder or pattern."""

import glob
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from headstart.errors import DataError
from headstart.ground.wording import named
from headstart.pipeline.data.listing import list_folder
from headstart.pipeline.data.reading import shown

SHOWN = 5  # ignored files that are named


def find_images(patterns: Iterable[str]) -> list[Path]:
    """List files, the images in folders, and the matches of glob patterns, in the order given.

    Whether a file can be read shows when it is read: only then its own error is known.

    In folders, hidden files and files that are not images by name and content are skipped; the latter are
    named on standard error.

    Raises:
        DataError: a folder holds no image, or a pattern matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        is_folder = os.path.isdir(pattern)  # noqa: PTH112 - unlike Path's, it raises nothing
        if is_folder:
            files = _in_folder(path)
        elif os.path.lexists(pattern) or not glob.has_magic(pattern):
            files = [path]  # one that is missing or cannot be read is reported with the others
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - in any folder
            files = [Path(match) for match in matches if not os.path.isdir(match)]  # noqa: PTH112
        if not files:
            raise DataError(f"{shown(pattern)} {'holds no image' if is_folder else 'matches no file'}")
        found.update(dict.fromkeys(files))
    return list(found)


def _in_folder(folder: Path) -> list[Path]:
    listing = list_folder(folder, is_versioned=False)
    if listing.others:
        ignored = shown(named(listing.others, SHOWN))
        print(f"{folder}: ignored files that are not images: {ignored}", file=sys.stderr)
    return [folder / name for name in listing.images]
