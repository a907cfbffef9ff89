"""Decode bytes into an upright RGB picture, without torch; the package `pixels` takes over from there."""

import hashlib
import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from headstart.errors import DataError
from headstart.pipeline.data.limits import Limits

RUN_BY_OTHERS = {"EPS", "WMF"}  # Pillow starts Ghostscript or asks Windows for these
UNKNOWN = "not an image format that Headstart reads"


@dataclass(frozen=True)
class Picture:
    """A decoded file: upright RGB pixels, and the format, mode and number of frames that the file has."""

    rgb: Image.Image
    format: str
    mode: str
    frames: int


def decode(data: bytes, limits: Limits) -> Image.Image:
    """Decode an image file to upright RGB: EXIF orientation applied, transparency flattened onto white.

    Raises:
        DataError: the bytes cannot be decoded completely, or the picture is outside the limits.
    """
    picture = read_picture(data)
    if problems := problems_of(picture, limits):
        raise DataError("; ".join(problems))
    return picture.rgb


def problems_of(picture: Picture, limits: Limits) -> list[str]:
    """The reasons why the limits refuse a picture; empty if it is fine."""
    rgb = picture.rgb
    return limits.problems(picture.format, picture.mode, rgb.width, rgb.height, picture.frames)


def read_picture(data: bytes) -> Picture:
    """Decode an image file completely, within no limits.

    Raises:
        DataError: this is not possible.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            form, mode, frames = image.format or "", image.mode, getattr(image, "n_frames", 1)
            return Picture(_to_rgb(image), form, mode, frames)
    except UnidentifiedImageError:  # its text includes an object's address
        raise DataError(f"cannot be decoded: {UNKNOWN}") from None
    except Exception as error:  # decoders raise whatever a damaged file makes them raise
        raise DataError(f"cannot be decoded: {type(error).__name__}: {error}") from error


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in RUN_BY_OTHERS)


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, turned upright, transparency flattened onto white; 16-bit grey is scaled by 1/257."""
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return _to_8_bits(upright).convert("RGB")
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")


def _to_8_bits(grey: Image.Image) -> Image.Image:
    """Scale 16-bit grey, which `convert` would clip at 255, by 1/257, rounded to the nearest level."""
    levels = np.asarray(grey).astype(np.uint32)
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def pixel_digest(image: Image.Image) -> str:
    """SHA-256 of an RGB picture's size and pixels; two images are "the same" if their digests are equal."""
    header = f"RGB {image.width}x{image.height}\n".encode()
    return hashlib.sha256(header + image.tobytes()).hexdigest()
