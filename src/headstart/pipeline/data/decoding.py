"""Decode bytes into an upright RGB picture, without torch; the package `pixels` takes over from there."""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from headstart.errors import DataError
from headstart.pipeline.data.formats import readable_formats
from headstart.pipeline.data.limits import Limits
from headstart.pipeline.data.pixel_budget import PixelBudget

T = TypeVar("T")

UNKNOWN = "not an image format that Headstart reads"
LARGEST_PIXELS = 178_956_970  # of one picture: Pillow opens none with more; 512 MiB in RGB
IN_FLIGHT = PixelBudget(1 << 28)  # of all pictures of the process: 1 GiB, as Pillow stores RGB
STRIP_PIXELS = 1 << 22  # converted at a time
LOADING: WeakValueDictionary[int, threading.Lock] = WeakValueDictionary()  # by the id of a picture in use
NEW_LOCK = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded file: upright RGB pixels, and the format, mode, number of frames and EXIF of the file."""

    rgb: Image.Image
    format: str
    mode: str
    frames: int
    exif: Image.Exif


@contextmanager
def decode(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """Decode an image file to upright RGB: EXIF orientation applied, transparency flattened onto white.

    Raises:
        DataError: the bytes cannot be decoded completely, or the picture is outside the limits.
    """
    with read_picture(data, limits) as picture:
        yield picture.rgb


@contextmanager
def decode_image(image: Image.Image, limits: Limits) -> Iterator[Image.Image]:
    """Upright RGB pixels of a picture that Pillow has opened or a program has made, by the rules of `decode`.

    The format counts if the picture has one. Apart from being loaded, it stays as it was.

    Raises:
        DataError: it cannot be decoded completely, has more than LARGEST_PIXELS, or is outside the limits.
    """
    own = limits if image.format else replace(limits, formats=())
    form, mode, size = image.format or "", image.mode, image.width * image.height
    if size > LARGEST_PIXELS:
        raise DataError(f"has {size} pixels, expected at most {LARGEST_PIXELS}; make it smaller")
    with _lock_of(image):
        frames = _or_reason(lambda: _loaded(image))
    with IN_FLIGHT.held(size), closing(_or_reason(lambda: _to_rgb(ImageOps.exif_transpose(image)))) as rgb:
        if problems := own.problems(form, mode, *rgb.size, frames):
            raise DataError("; ".join(problems))
        yield rgb


@contextmanager
def read_picture(data: bytes, limits: Limits | None = None) -> Iterator[Picture]:
    """Decode an image file completely. Its pixels count as in flight, and exist, until the block ends.

    A block must not read another picture: two that wait for each other's pixels would wait forever.

    Args:
        limits: what the picture may be; None means anything that can be decoded.

    Raises:
        DataError: it cannot be decoded completely, has more than LARGEST_PIXELS, or is outside the limits.
    """
    with _open(data) as image:
        if limits and limits.formats and image.format not in limits.formats:  # its decoder must not run
            raise DataError("; ".join(_problems(image, limits)))
        with IN_FLIGHT.held(image.width * image.height):
            try:
                with closing((picture := _load(image)).rgb):
                    if limits and (problems := _problems_of(picture, limits)):
                        raise DataError("; ".join(problems))
                    yield picture
            finally:
                image.close()  # an error that is kept for a while keeps the image too, but not its pixels


def problems_in(data: bytes, limits: Limits) -> list[str]:
    """The reasons why the limits refuse an image file, by its header alone; empty if it is fine.

    Raises:
        DataError: it has no header of an image.
    """
    with _open(data) as image:
        return _problems(image, limits)


def pixel_digest(image: Image.Image) -> str:
    """SHA-256 of an RGB picture's size and pixels; two images are "the same" if their digests are equal."""
    sha = hashlib.sha256(f"RGB {image.width}x{image.height}\n".encode())
    for _, strip in _strips(image):
        sha.update(strip.tobytes())
    return sha.hexdigest()


def _open(data: bytes) -> Image.Image:
    return _or_reason(lambda: Image.open(io.BytesIO(data), formats=readable_formats()))


def _problems(image: Image.Image, limits: Limits) -> list[str]:
    form = image.format or ""
    return _or_reason(lambda: limits.problems(form, image.mode, *image.size, _frames(image)))


def _load(image: Image.Image) -> Picture:
    form, mode = image.format or "", image.mode
    frames = _or_reason(lambda: _frames(image))
    rgb = _or_reason(lambda: _to_rgb(image))
    return Picture(rgb, form, mode, frames, image.getexif())


def _problems_of(picture: Picture, limits: Limits) -> list[str]:
    return limits.problems(picture.format, picture.mode, *picture.rgb.size, picture.frames)


def _lock_of(image: Image.Image) -> threading.Lock:
    """A picture's lock: Pillow loads it when it is first used, and threads may be given the same one."""
    with NEW_LOCK:
        return LOADING.setdefault(id(image), threading.Lock())


def _loaded(image: Image.Image) -> int:
    """Load a picture and its orientation, which Pillow parses when they are asked for; return its frames."""
    frames = _frames(image)
    image.load()
    image.getexif().get(ExifTags.Base.Orientation)
    return frames


def _frames(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1)


def _or_reason(call: Callable[[], T]) -> T:
    """The call's result, or a DataError without its cause: that one's traceback would keep the pixels."""
    try:
        return call()
    except UnidentifiedImageError:  # its text includes an object's address
        reason = UNKNOWN
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0]
        reason = f"{size}, expected at most {LARGEST_PIXELS} pixels; make it smaller"
    except Exception as error:  # decoders raise whatever a damaged file makes them raise
        reason = f"{type(error).__name__}: {error}"
    raise DataError(f"cannot be decoded: {reason}")


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, turned upright, transparency flattened onto white; 16-bit grey is scaled by 1/257.

    The image itself changes: copies of a large one would take several times its memory.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        rgb.paste(_flat(strip), (0, top))
    return rgb


def _flat(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _to_8_bits(grey: Image.Image) -> Image.Image:
    """Scale 16-bit grey, which `convert` would clip at 255, by 1/257, rounded to the nearest level."""
    levels = np.asarray(grey).astype(np.uint32)
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in strips of full width and bounded size, from the top: (first line, strip)."""
    lines = max(1, STRIP_PIXELS // image.width)
    if lines >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, lines):
        yield top, image.crop((0, top, image.width, min(top + lines, image.height)))
