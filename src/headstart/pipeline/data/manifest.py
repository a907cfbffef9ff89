"""The manifest: one row per file of the data folder, with the facts found by decoding it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pandas as pd
import PIL

from headstart.errors import DataError
from headstart.ground.settings import SPLITS
from headstart.pipeline.data.decoding import pixel_digest, read_picture
from headstart.pipeline.data.layout import Found
from headstart.pipeline.store.rows import RowStore

T = TypeVar("T")

WINDOW = 256  # files in flight, to bound memory


@dataclass(frozen=True)
class Facts:
    """The contents of one file. If it cannot be decoded, `error` has the reason and the rest is empty."""

    pixels: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    error: str = ""


def build_manifest(
    data: Path,
    found: list[Found],
    store: RowStore,
    recipe: str,
    advance: Callable[[int], object] = lambda count: None,
) -> pd.DataFrame:
    """Read and decode every file once: one row per file, sorted by path.

    Columns: path, bytes, sha256 (of the file), pixels (digest of the decoded picture), format,
    mode, width, height, frames, error; label and split as folders or a table name them, else "".

    Args:
        store: remembers the facts of a file by its sha256 and `recipe`.
        advance: called with the number of files just done.
    """
    rows: list[dict[str, object]] = []
    with ThreadPoolExecutor() as pool:
        for window in _windows(found, WINDOW):
            facts = list(pool.map(lambda file: _read(data / file.path, store, recipe), window))
            store.put(recipe, {sha: _to_bytes(fact) for _, sha, fact, new in facts if new})
            for file, (size, sha, fact, _) in zip(window, facts, strict=True):
                named = {"path": file.path, "label": file.label, "split": file.split}
                rows.append({**named, "bytes": size, "sha256": sha, **asdict(fact)})
            advance(len(window))
    return pd.DataFrame(rows)


def inspect(data: bytes) -> Facts:
    """Decode an image file completely and return its facts, including damage."""
    try:
        picture = read_picture(data)
    except DataError as error:
        return Facts(error=str(error).removeprefix("cannot be decoded: "))
    rgb = picture.rgb
    return Facts(pixel_digest(rgb), picture.format, picture.mode, rgb.width, rgb.height, picture.frames)


def facts_recipe() -> dict[str, object]:
    """Everything that facts depend on, apart from the file's bytes and our own code."""
    return {"rows": "facts", "pillow": PIL.__version__}


def read_manifest(path: Path) -> pd.DataFrame:
    """The rows that were kept, in the order they are packed: by split, then pixels, then path.

    `attrs["limits"]` are the limits that every picture is within.
    """
    manifest = pd.read_parquet(path)
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
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; run the validate stage again") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path} changed after it was validated; run `dvc add data` and `dvc repro`")
    return data


def _read(path: Path, store: RowStore, recipe: str) -> tuple[int, str, Facts, bool]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # a table of labels names it
        return 0, "", Facts(error="there is no such file"), False
    except OSError as error:
        return 0, "", Facts(error=error.strerror or type(error).__name__), False
    sha = hashlib.sha256(data).hexdigest()
    [known] = store.get(recipe, [sha])
    if known is not None:
        return len(data), sha, Facts(**json.loads(known)), False
    return len(data), sha, inspect(data), True


def _to_bytes(facts: Facts) -> bytes:
    return json.dumps(asdict(facts), sort_keys=True).encode()


def _windows(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while window := list(islice(iterator, size)):
        yield window
