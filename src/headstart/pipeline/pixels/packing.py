"""Pack images as the network reads them: once for each distinct picture."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import PIL
import torchvision
from torchvision.transforms._presets import ImageClassification

from headstart.errors import DataError, HeadstartError
from headstart.pipeline.data.decoding import decode
from headstart.pipeline.data.limits import ANY_PICTURE
from headstart.pipeline.data.manifest import read_checked
from headstart.pipeline.pixels.packed import WINDOW, put_rows
from headstart.pipeline.pixels.transforms import pack
from headstart.pipeline.store.rows import RowStore, check_again

CHECKED = 4  # images that are packed again to compare with the store


def pack_images(
    data: Path,
    rows: pd.DataFrame,
    transform: ImageClassification,
    store: RowStore,
    held: RowStore,
    recipe: str,
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[list[str], int]:
    """Digests of packed images; those of pictures that the store knows are neither decoded nor read.

    Args:
        data: the folder that `rows["path"]` is relative to.
        rows: columns path, sha256, pixels.
        store: remembers the digest of a packed image by the picture's digest and `recipe`.
        held: gets the packed images.
        advance: called with the number of images just done.

    Returns:
        SHA-256 of each packed image, and the number of images that were decoded.

    Raises:
        DataError: a file changed after validation.
        DeterminismError: an image packed again has another digest.
    """
    _check_store(data, rows, transform, store, held, recipe)
    digests: list[str] = []
    computed = 0
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(rows), WINDOW):
            window = rows.iloc[start : start + WINDOW]
            stored = store.get(recipe, window["pixels"].tolist())
            todo = {
                row.pixels: row for row, old in zip(window.itertuples(), stored, strict=True) if old is None
            }
            new = pool.map(lambda row: pack_file(data / row.path, row.sha256, transform), todo.values())
            fresh = dict(zip(todo, put_rows(held, new), strict=True))
            store.put(recipe, {key: bytes.fromhex(digest) for key, digest in fresh.items()})
            digests += [
                fresh[key] if old is None else old.hex()
                for key, old in zip(window["pixels"], stored, strict=True)
            ]
            computed += len(fresh)
            advance(len(window))
    return digests, computed


def packing_recipe(transform: ImageClassification) -> dict[str, object]:
    """Everything that packed images depend on, apart from the picture and our own code."""
    return {
        "rows": "digests of packed images",
        "transform": repr(transform),
        "pillow": PIL.__version__,
        "torchvision": torchvision.__version__,
    }


def pack_file(path: Path, sha256: str, transform: ImageClassification) -> bytes:
    """The packed pixels of an image file, uint8 [crop, crop, 3].

    Raises:
        DataError: the file is missing, or changed after it was validated.
    """
    data = read_checked(path, sha256)
    try:
        with decode(data, ANY_PICTURE) as picture:
            return pack(picture, transform).tobytes()
    except HeadstartError as error:
        raise DataError(f"{path} {error}") from error


def _check_store(
    data: Path,
    rows: pd.DataFrame,
    transform: ImageClassification,
    store: RowStore,
    held: RowStore,
    recipe: str,
) -> None:
    known = rows[store.has(recipe, rows["pixels"].tolist())].head(CHECKED)
    keys = known["pixels"].tolist()

    def again() -> dict[str, bytes]:
        packed = [pack_file(data / row.path, row.sha256, transform) for row in known.itertuples()]
        return dict(zip(keys, map(bytes.fromhex, put_rows(held, packed)), strict=True))

    check_again("preprocess", keys, store.get(recipe, keys), again)
