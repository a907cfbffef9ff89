"""Tables of packed images without image files: their pixels are in the store."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import pandas as pd

from headstart.pipeline.pixels.packed import WINDOW, PackedImages, Packing, open_pixels, put_rows


def hold(pixels: Iterable[np.ndarray], table: pd.DataFrame | None = None, side: int = 224) -> pd.DataFrame:
    """Put packed images into the store and list them, as `preprocess` does.

    Args:
        pixels: an array uint8 [side, side, 3] for each image.
        table: gets the columns; a new table by default.
    """
    with open_pixels() as store:
        rows = (each.tobytes() for each in pixels)
        digests = [
            digest for some in iter(lambda: [*islice(rows, WINDOW)], []) for digest in put_rows(store, some)
        ]
    own = (
        pd.DataFrame({"path": [f"{place}.png" for place in range(len(digests))]}) if table is None else table
    )
    listed = own.assign(sha256="", packed=digests)
    listed.attrs = own.attrs | Packing("vgg16", "IMAGENET1K_V1", side).recorded()
    return listed


def packed_images(pixels: Iterable[np.ndarray], side: int = 224) -> PackedImages:
    """Packed images of which only the pixels matter."""
    return PackedImages(hold(pixels, side=side))
