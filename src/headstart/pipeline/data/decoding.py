"""Decode bytes into an upright RGB picture, without torch; the package `pixels` takes over from there."""

import hashlib
import io

from PIL import Image, ImageOps, UnidentifiedImageError

from headstart.errors import DataError


def decode(data: bytes) -> Image.Image:
    """Decode an image file to upright RGB: EXIF orientation applied, transparency flattened onto white.

    Raises:
        DataError: Pillow cannot decode the bytes completely.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return to_rgb(image)
    except UnidentifiedImageError:
        raise DataError("cannot be decoded: not an image format that Pillow knows") from None
    except Exception as error:  # decoders raise whatever a damaged file makes them raise
        raise DataError(f"cannot be decoded: {type(error).__name__}: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an opened picture to RGB: turned upright, transparency flattened onto white."""
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")


def pixel_digest(image: Image.Image) -> str:
    """SHA-256 of an RGB picture's size and pixels; two images are "the same" if their digests are equal."""
    header = f"RGB {image.width}x{image.height}\n".encode()
    return hashlib.sha256(header + image.tobytes()).hexdigest()
