"""Pack images as the network reads them: one uint8 array with one row per image, in a fixed order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import PIL
import torchvision
from torchvision.transforms._presets import ImageClassification

from headstart.errors import DataError, HeadstartError
from headstart.pipeline.data.decoding import decode
from headstart.pipeline.data.limits import ANY_PICTURE
from headstart.pipeline.data.manifest import read_checked
from headstart.pipeline.pixels.packed import write_npy_header
from headstart.pipeline.pixels.transforms import pack
from headstart.pipeline.store.rows import RowStore, check_again

WINDOW = 64  # images in flight: 10 MB of packed pixels


def pack_images(
    data: Path,
    rows: pd.DataFrame,
    transform: ImageClassification,
    store: RowStore,
    recipe: str,
    file: BinaryIO,
    advance: Callable[[int], object] = lambda count: None,
) -> int:
    """Write `rows` as a .npy array uint8 [N, crop, crop, 3]; images known to the store are not decoded.

    Args:
        data: the folder that `rows["path"]` is relative to.
        rows: columns path, sha256, pixels.
        store: packed rows by pixel digest and `recipe`.
        advance: called with the number of images just done.

    Returns:
        How many images were decoded.

    Raises:
        DataError: a file changed after validation.
        DeterminismError: a stored row differs when recomputed.
    """
    side = transform.crop_size[0]
    write_npy_header(file, (len(rows), side, side, 3))
    _check_store(data, rows, transform, store, recipe)
    computed = 0
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(rows), WINDOW):
            window = rows.iloc[start : start + WINDOW]
            stored = store.get(recipe, window["pixels"].tolist())
            todo = [row for row, old in zip(window.itertuples(), stored, strict=True) if old is None]
            new = pool.map(lambda row: _packed(data / row.path, row.sha256, transform), todo)
            fresh = dict(zip((row.pixels for row in todo), new, strict=True))
            store.put(recipe, fresh)
            for key, old in zip(window["pixels"], stored, strict=True):
                file.write(fresh[key] if old is None else old)
            computed += len(fresh)
            advance(len(window))
    return computed


def packing_recipe(transform: ImageClassification) -> dict[str, object]:
    """Everything that packed rows depend on, apart from the picture and our own code."""
    return {
        "rows": "packed",
        "transform": repr(transform),
        "pillow": PIL.__version__,
        "torchvision": torchvision.__version__,
    }


def _check_store(
    data: Path, rows: pd.DataFrame, transform: ImageClassification, store: RowStore, recipe: str
) -> None:
    known = rows[store.has(recipe, rows["pixels"].tolist())].head(4)
    keys = known["pixels"].tolist()
    check_again(
        "preprocess",
        keys,
        store.get(recipe, keys),
        lambda: {row.pixels: _packed(data / row.path, row.sha256, transform) for row in known.itertuples()},
    )


def _packed(path: Path, sha256: str, transform: ImageClassification) -> bytes:
    data = read_checked(path, sha256)
    try:
        with decode(data, ANY_PICTURE) as picture:
            return pack(picture, transform).tobytes()
    except HeadstartError as error:
        raise DataError(f"{path} {error}") from error
