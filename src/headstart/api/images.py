"""The pictures that a caller gives: paths, bytes, arrays and Pillow images, checked before any work."""

import io
import os
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from PIL import Image

from headstart.errors import ArgumentError
from headstart.versions.serving.path_access import EVERYTHING, PathAccess

OneImage: TypeAlias = "str | os.PathLike[str] | bytes | np.ndarray | Image.Image"
Images: TypeAlias = "OneImage | Iterable[OneImage]"

ONE = (str, os.PathLike, bytes, Image.Image)
EXPECTED = "a path, the bytes of an image file, a Pillow image, or an array uint8 [H, W, 3] or [H, W]"


def as_list(images: Images) -> list[OneImage]:
    """The pictures one by one; an array [N, H, W, 3] holds N of them.

    Raises:
        ArgumentError: one of them is not a picture that can be read in one way only.
    """
    if isinstance(images, ONE) or (isinstance(images, np.ndarray) and images.ndim < 4):
        return [_checked(images, "the image")]
    if isinstance(images, Mapping | pd.DataFrame):
        raise ArgumentError(
            f"a {type(images).__name__} is not a list of images; give its paths, such as table['path']"
        )
    if _is_file(images):  # iterating would give its lines
        return [_checked(images, "the image")]
    if not isinstance(images, Iterable):
        raise ArgumentError(f"{_kind(images)} is not an image; expected {EXPECTED}, or several of them")
    return [_checked(image, f"image {number}") for number, image in enumerate(images)]


class Reader:
    """Reads a picture of a list as bytes or as a Pillow image."""

    def __init__(self) -> None:
        self._access = PathAccess(EVERYTHING)

    def read(self, image: OneImage) -> bytes | Image.Image:
        """Bytes of a file, or pixels.

        Raises:
            DataError: the file is missing, unreachable or too large.
        """
        if isinstance(image, np.ndarray):
            return Image.fromarray(image)
        if isinstance(image, bytes | Image.Image):
            return image
        return self._access.read(os.fspath(image))


def _is_file(value: object) -> bool:
    return isinstance(value, io.IOBase) or hasattr(value, "read")


def _checked(image: object, what: str) -> OneImage:
    if isinstance(image, np.ndarray):
        _check_array(image, what)
        return image
    if isinstance(image, ONE):
        return image
    raise ArgumentError(f"{what} is {_kind(image)}; expected {EXPECTED}")


def _check_array(array: np.ndarray, what: str) -> None:
    found = f"{what} is an array {array.dtype} {list(array.shape)}"
    if array.dtype != np.uint8:
        raise ArgumentError(
            f"{found}; expected uint8, with 0 as black and 255 as white{_dtype_advice(array)}"
        )
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3):
        if array.size == 0:
            raise ArgumentError(f"{found}, which holds no pixels")
        return
    raise ArgumentError(
        f"{found}; expected [H, W, 3] in the order red, green, blue, or [H, W]{_shape_advice(array)}"
    )


def _dtype_advice(array: np.ndarray) -> str:
    if array.dtype.kind in "OSTU":
        return ". If it holds paths, bytes or pictures, give a list of them: array.tolist()"
    if np.issubdtype(array.dtype, np.floating):
        return ". If its values are from 0 to 1: (255 * array).round().astype('uint8')"
    if array.dtype == np.bool_:
        return ". For a mask: array.astype('uint8') * 255"
    return ". If its values are from 0 to 255: array.astype('uint8')"


def _shape_advice(array: np.ndarray) -> str:
    if array.ndim == 3 and array.shape[2] == 4:
        return (
            ". To put transparent parts on white, as files with transparency are read, give "
            "PIL.Image.fromarray(array); to ignore transparency, array[..., :3]"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        return ". For one channel: array[..., 0]"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return ". If channels come first: array.transpose(1, 2, 0)"
    return ""


def _kind(value: object) -> str:
    if value is None:
        return "None"
    kind = f"a value of type {type(value).__name__}"
    if type(value).__module__.startswith("torch"):
        return f"{kind}: give its array, with .cpu().numpy()"
    if isinstance(value, io.TextIOBase):
        return f"{kind}, opened as text: open it in mode 'rb' and give its bytes, with .read()"
    return f"{kind}: give its bytes, with .read()" if _is_file(value) else kind
