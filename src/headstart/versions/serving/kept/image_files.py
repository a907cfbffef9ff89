"""Kept image files: images/ab/SHA256.EXT, each once, readable by their owner alone."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from headstart.pipeline.data.formats import readable_formats

FOLDER = "images"
NEW = ".new"  # ending of a file that is being written
EXTENSIONS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "TIFF": "tif",
    "JPEG2000": "jp2",
    "SUN": "ras",
}  # else Pillow's name


def extension_of(data: bytes) -> str | None:
    """The extension for an image file, by its header; None for other bytes."""
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
            form = image.format or ""
    except Exception:  # decoders raise whatever a damaged file makes them raise
        return None
    return EXTENSIONS.get(form, form.lower())


class ImageFiles:
    """The files below a folder, by digest and extension; they change within a transaction of the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def path(self, sha256: str, extension: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.{extension}"

    def write(self, sha256: str, extension: str, data: bytes) -> None:
        """Write a file, which is complete on the disk when it has its name."""
        path = self.path(sha256, extension)
        for folder in (self._folder, path.parent):
            folder.mkdir(exist_ok=True, mode=0o700)
        new = path.with_suffix(NEW)
        try:
            with open(new, "wb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def remove(self, sha256: str, extension: str) -> None:
        self.path(sha256, extension).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[Path, int]]:
        """Every file with its size in bytes, half-written ones too."""
        for path in self._folder.glob("*/*"):
            yield path, path.stat().st_size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
