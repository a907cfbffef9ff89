"""The manifest: one row per file of the data folder, with the facts found by decoding it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import PIL

from headstart.errors import DataError
from headstart.ground import paths
from headstart.ground.files import inside
from headstart.ground.reading import load_table
from headstart.ground.settings import COLUMN, SPLITS
from headstart.pipeline.data.decoding import pixel_digest, read_picture
from headstart.pipeline.data.layout import Found
from headstart.pipeline.data.reading import read_file
from headstart.pipeline.data.thumbnails import SIDE, Thumbnails, grey
from headstart.pipeline.data.time_taken import time_taken
from headstart.pipeline.store.rows import RowStore
from headstart.pipeline.store.seen_files import Look, SeenFiles, look_at

T = TypeVar("T")

WINDOW = 256  # files in flight, to bound memory
NOTHING: Thumbnails = np.zeros((SIDE, SIDE), np.uint8)


@dataclass(frozen=True)
class Facts:
    """The contents of one file. If it cannot be decoded, `error` has the reason and the rest is empty."""

    pixels: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    taken: str = ""
    error: str = ""


@dataclass(frozen=True)
class _Read:
    """A file as it was read, or as the store remembers it.

    Attributes:
        look: the look at the file before it was read; None if it was not.
        is_new: it was decoded.
    """

    facts: Facts
    thumbnail: Thumbnails
    size: int = 0
    sha: str = ""
    look: Look | None = None
    is_new: bool = False

    @classmethod
    def from_bytes(cls, row: bytes, size: int, sha: str, look: Look | None = None) -> "_Read":
        thumbnail = np.frombuffer(row[: SIDE * SIDE], np.uint8).reshape(SIDE, SIDE)
        return cls(Facts(**json.loads(row[SIDE * SIDE :])), thumbnail, size, sha, look)

    def to_bytes(self) -> bytes:
        return self.thumbnail.tobytes() + json.dumps(asdict(self.facts), sort_keys=True).encode()


def build_manifest(
    data: Path,
    found: list[Found],
    store: RowStore,
    recipe: str,
    seen: SeenFiles,
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[pd.DataFrame, Thumbnails]:
    """The facts of every file, read and decoded only if it is new or has changed: one row each, by path.

    Columns: path, bytes, sha256 (of the file), pixels (digest of the decoded picture), format,
    mode, width, height, frames, taken (see `time_taken`), error; label and split as folders or a table name
    them, else ""; the other columns of a table of labels as texts, with `column:` before their names.

    Returns:
        The table, and a grey thumbnail per row: uint8 [N, 32, 32], black for a file that is no picture.

    Args:
        store: remembers the facts of a file by its sha256 and `recipe`.
        seen: remembers the sha256 of a file by its path, size, times and inode.
        advance: called with the number of files just done.
    """
    rows: list[dict[str, object]] = []
    thumbnails = np.zeros((len(found), SIDE, SIDE), np.uint8)
    with ThreadPoolExecutor() as pool:
        for window in _windows(found, WINDOW):
            facts = _facts_of([data / file.path for file in window], store, recipe, seen, pool)
            for file, each in zip(window, facts, strict=True):
                named = {"path": file.path, "label": file.label, "split": file.split}
                thumbnails[len(rows)] = each.thumbnail
                others = {COLUMN + name: text for name, text in file.columns}
                rows.append({**named, "bytes": each.size, "sha256": each.sha, **vars(each.facts), **others})
            advance(len(window))
    table = pd.DataFrame(rows)
    further = [name for name in table if name.startswith(COLUMN)]
    table[further] = table[further].fillna("")  # an image that the table of labels lacks
    return table, thumbnails


def inspect(data: bytes) -> tuple[Facts, Thumbnails]:
    """Decode an image file completely: its facts, including damage, and its grey thumbnail."""
    try:
        with read_picture(data) as picture:
            rgb = picture.rgb
            taken = time_taken(picture.exif)
            facts = Facts(pixel_digest(rgb), picture.format, picture.mode, *rgb.size, picture.frames, taken)
            return facts, grey(rgb)
    except DataError as error:
        return Facts(error=str(error).removeprefix("cannot be decoded: ")), NOTHING


def facts_recipe() -> dict[str, object]:
    """Everything that facts depend on, apart from the file's bytes and our own code."""
    return {"rows": "facts and thumbnails", "pillow": PIL.__version__}


def read_manifest(path: Path) -> pd.DataFrame:
    """The rows that were kept, in the order they are packed: by split, then pixels, then path.

    `attrs["limits"]` are the limits that every picture is within.

    Raises:
        HeadstartError: a path leads out of the data folder.
    """
    manifest = load_table(path)
    for name in manifest["path"]:
        inside(paths.DATA, name)
    kept = manifest[manifest["excluded"] == ""]
    rank = kept["split"].map({name: index for index, name in enumerate(SPLITS)})
    ordered = (
        kept.assign(rank=rank)
        .sort_values(["rank", "pixels", "path"])
        .drop(columns="rank")
        .reset_index(drop=True)
    )
    ordered.attrs = manifest.attrs
    return ordered


def read_checked(path: Path, sha256: str) -> bytes:
    """Read a file's bytes, and check that they are still those that were validated.

    Raises:
        DataError: the file was changed or removed after validation.
    """
    try:
        data = read_file(path)
    except (OSError, DataError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot read {path}: {reason}; `dvc checkout data` restores it, or run the validate stage again"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path} changed after it was validated; run `dvc add data` and `dvc repro`")
    return data


def _facts_of(
    paths: list[Path], store: RowStore, recipe: str, seen: SeenFiles, pool: ThreadPoolExecutor
) -> list[_Read]:
    """The facts of files in order; what had to be read or decoded is remembered."""
    looks = [look_at(path) for path in paths]
    remembered = _remembered(looks, store, recipe, seen)
    unknown = [place for place, each in enumerate(remembered) if each is None]
    read = list(pool.map(lambda place: _read(paths[place], looks[place], store, recipe), unknown))
    store.put(recipe, {each.sha: each.to_bytes() for each in read if each.is_new})
    seen.remember({each.look: each.sha for each in read if each.look})
    found = iter(read)
    return [each or next(found) for each in remembered]


def _remembered(
    looks: Sequence[Look | None], store: RowStore, recipe: str, seen: SeenFiles
) -> list[_Read | None]:
    """The facts of files that look as they did when they were read; None for all others."""
    shas = seen.digests(looks)
    rows = iter(store.get(recipe, [sha for sha in shas if sha]))
    found = [next(rows) if sha else None for sha in shas]
    return [
        _Read.from_bytes(row, look.size, sha) if look and sha and row else None
        for look, sha, row in zip(looks, shas, found, strict=True)
    ]


def _read(path: Path, look: Look | None, store: RowStore, recipe: str) -> _Read:
    try:
        data = read_file(path)
    except FileNotFoundError:  # a table of labels names it
        return _Read(Facts(error="there is no such file"), NOTHING)
    except DataError as error:
        return _Read(Facts(error=str(error)), NOTHING)
    except OSError as error:
        return _Read(Facts(error=error.strerror or type(error).__name__), NOTHING)
    sha = hashlib.sha256(data).hexdigest()
    [known] = store.get(recipe, [sha])
    if known is None:
        return _Read(*inspect(data), len(data), sha, look, is_new=True)
    return _Read.from_bytes(known, len(data), sha, look)


def _windows(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while window := list(islice(iterator, size)):
        yield window
