"""Changes of a picture that must not change its label."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from headstart.pipeline.data.decoding import decode

BRIGHTNESS = 0.15  # darker and brighter by this share
SHIFT = 0.03  # of each side, right and down; the border is repeated
QUALITY = 85  # of JPEG


def _mirror(image: Image.Image) -> list[bytes]:
    return [_png(ImageOps.mirror(image))]


def _brightness(image: Image.Image) -> list[bytes]:
    factors = (1 - BRIGHTNESS, 1 + BRIGHTNESS)
    return [_png(ImageEnhance.Brightness(image).enhance(factor)) for factor in factors]


def _shift(image: Image.Image) -> list[bytes]:
    right, down = max(1, round(image.width * SHIFT)), max(1, round(image.height * SHIFT))
    pixels = np.pad(np.asarray(image), ((down, 0), (right, 0), (0, 0)), mode="edge")
    return [_png(Image.fromarray(pixels[: image.height, : image.width]))]


def _encoding(image: Image.Image) -> list[bytes]:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return [out.getvalue()]


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


CHANGES: dict[str, Callable[[Image.Image], list[bytes]]] = {
    "mirror": _mirror,
    "brightness": _brightness,
    "shift": _shift,
    "encoding": _encoding,
}


def write_changed(image: Path, names: list[str], folder: Path) -> list[tuple[str, Path]]:
    """Files of the changed picture, in `folder`: (change, file) each."""
    picture = decode(image.read_bytes())
    written = []
    for name in names:
        for number, data in enumerate(CHANGES[name](picture)):
            path = folder / f"{name}-{number}"
            path.write_bytes(data)
            written.append((name, path))
    return written
