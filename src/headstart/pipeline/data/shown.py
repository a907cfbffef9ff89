"""Pictures as pages show them."""

from dataclasses import dataclass
from pathlib import Path

from headstart.errors import DataError
from headstart.pipeline.data.decoding import read_picture
from headstart.pipeline.data.reading import read_file
from headstart.pipeline.pages.html import thumbnail_jpeg

SIDE = 160  # pixels of the longer side


@dataclass(frozen=True)
class Picture:
    """A picture of the data set on a page; `jpeg` is empty if its file is gone meanwhile."""

    path: str
    label: str
    split: str
    jpeg: bytes


def jpeg_of(path: Path, side: int = SIDE) -> bytes:
    """JPEG bytes of a picture for a page; empty if the file is gone, or is no picture."""
    try:
        with read_picture(read_file(path)) as picture:
            return thumbnail_jpeg(picture.rgb, side)
    except (OSError, DataError):
        return b""
