"""Small grey copies of pictures, to compare them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32

Thumbnails = NDArray[np.uint8]


def grey(picture: Image.Image) -> Thumbnails:
    """A grey picture squashed to a square: uint8 [32, 32]."""
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small)
