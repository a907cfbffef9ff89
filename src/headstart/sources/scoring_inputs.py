"""Inputs of batch scoring: the images of a folder or pattern, or those that a list names."""

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.errors import DataError
from headstart.pipeline.data.listing import is_ignored
from headstart.sources.finding import find_images

COLUMN = "path"
LISTS = (".txt", ".csv", ".parquet")


class Input(NamedTuple):
    """An image: its path as written to the result, and the location it is read from."""

    path: str
    location: str


def find_inputs(source: str, without: Sequence[Path] = ()) -> list[Input]:
    """The images that a source names, in a fixed order.

    Args:
        source: a folder, a glob pattern, an image, or a list of paths and URLs: `.txt` with one per line,
            `.csv` or `.parquet` with a column `path`. Relative paths start from the list's folder.
        without: files and folders to skip, such as the result's own.

    Raises:
        DataError: there is nothing to read.
    """
    path = Path(source)
    if path.suffix.lower() in LISTS and path.is_file():
        found = [Input(name, _seen_from(path.parent, name)) for name in _listed(path)]
    elif path.exists() or glob.has_magic(source):
        own = [own.resolve() for own in without]
        found = [Input(str(file), str(file)) for file in find_images([source]) if _counts(file, own)]
    else:
        advice = "write a list of its files (.txt, .csv, .parquet)" if "://" in source else "check its name"
        raise DataError(f"there is no file, folder or match for {source}; {advice}")
    if not found:
        raise DataError(f"{source} names no image")
    return found


def mark_of(location: str) -> tuple[int, int] | None:
    """Size and time of a file, by which changes are noticed; None for a URL or a missing file."""
    try:
        found = os.stat(location)  # noqa: PTH116 - millions of them
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _counts(file: Path, own: Sequence[Path]) -> bool:
    if is_ignored(file.name):
        return False
    if not own:
        return True
    real = Path(os.path.realpath(file))  # unlike `resolve`, it takes a loop of links
    return not any(real.is_relative_to(folder) for folder in own)


def _seen_from(folder: Path, name: str) -> str:
    return name if "://" in name else str(folder / name)


def _listed(path: Path) -> Iterator[str]:
    read = {".txt": _lines, ".csv": _csv_column, ".parquet": _parquet_column}[path.suffix.lower()]
    try:
        yield from (name for name in read(path) if name)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise DataError(f"the list {path} cannot be read: {error}") from error


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield line.strip()


def _csv_column(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        _check_column(path, rows.fieldnames or [])
        for row in rows:
            yield row[COLUMN] or ""


def _parquet_column(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        _check_column(path, file.schema_arrow.names)
        for batch in file.iter_batches(columns=[COLUMN]):
            yield from (str(name or "") for name in batch.column(0).to_pylist())


def _check_column(path: Path, names: Sequence[str]) -> None:
    if COLUMN not in names:
        raise DataError(f"{path} has no column `{COLUMN}`; it has {', '.join(names) or 'none'}")
