"""Changes of a picture that must not change its label."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from headstart.pipeline.data.decoding import decode, problems_in
from headstart.pipeline.data.limits import ANY_PICTURE, Limits

BRIGHTNESS = 0.15  # darker and brighter by this share
SHIFT = 0.03  # of each side, right and down; the border is repeated
QUALITY = 85  # of JPEG

LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 1},
    "BMP": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 95, "subsampling": 0},  # nearly, if a version accepts nothing else
}
LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"quality": QUALITY}, "WEBP": {"quality": QUALITY}}


def _mirror(image: Image.Image) -> list[Image.Image]:
    return [ImageOps.mirror(image)]


def _brightness(image: Image.Image) -> list[Image.Image]:
    factors = (1 - BRIGHTNESS, 1 + BRIGHTNESS)
    return [ImageEnhance.Brightness(image).enhance(factor) for factor in factors]


def _shift(image: Image.Image) -> list[Image.Image]:
    right, down = max(1, round(image.width * SHIFT)), max(1, round(image.height * SHIFT))
    pixels = np.pad(np.asarray(image), ((down, 0), (right, 0), (0, 0)), mode="edge")
    return [Image.fromarray(pixels[: image.height, : image.width])]


def _encoding(image: Image.Image) -> list[Image.Image]:
    return [image]


CHANGES: dict[str, Callable[[Image.Image], list[Image.Image]]] = {
    "mirror": _mirror,
    "brightness": _brightness,
    "shift": _shift,
    "encoding": _encoding,
}


def write_changed(image: Path, names: list[str], folder: Path, limits: Limits) -> list[tuple[str, Path]]:
    """Write the changed picture into files in `folder`, of a format and mode within the limits.

    Returns:
        (change, file) for each; nothing for a change whose every format or mode the limits refuse.
    """
    written = []
    with decode(image.read_bytes(), ANY_PICTURE) as picture:
        for name in names:
            formats = LOSSY if name == "encoding" else LOSSLESS
            for number, changed in enumerate(CHANGES[name](picture)):
                data = _within(limits, changed, formats)
                if data is not None:
                    path = folder / f"{name}-{number}"
                    path.write_bytes(data)
                    written.append((name, path))
    return written


def _within(limits: Limits, image: Image.Image, formats: Mapping[str, dict[str, Any]]) -> bytes | None:
    """The picture as a file of the first format and mode that the limits accept, read back to be sure."""
    for form, options in formats.items():
        for mode in ("RGB", "L"):
            file = io.BytesIO()
            image.convert(mode).save(file, form, **options)
            if not problems_in(file.getvalue(), limits):
                return file.getvalue()
    return None
