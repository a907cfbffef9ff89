"""Pictures as pages show them."""

from pathlib import Path

import numpy as np

from headstart.errors import DataError
from headstart.pipeline.data.decoding import read_picture
from headstart.pipeline.pages.html import thumbnail_jpeg

SIDE = 160  # pixels of the longer side


def jpeg_of(path: Path) -> bytes:
    """JPEG bytes of a picture for a page; empty if the file is gone, or is no picture."""
    try:
        return thumbnail_jpeg(np.asarray(read_picture(path.read_bytes()).rgb), SIDE)
    except (OSError, DataError):
        return b""
