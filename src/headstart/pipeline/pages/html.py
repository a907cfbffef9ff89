"""Render templates as pages, and put pictures into them."""

import base64
import hashlib
import io
import struct
from collections.abc import Callable, Mapping
from importlib.resources import files

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

STYLE = "page.css"


def render(
    package: str, template: str, filters: Mapping[str, Callable[..., object]], **values: object
) -> str:
    """Render a template in the common page style: text for a UTF-8 file that needs no network."""
    page = fragment(package, template, filters, css=page_css(), **values)
    # File names need not be valid Unicode; a page must be.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def fragment(
    package: str, template: str, filters: Mapping[str, Callable[..., object]], **values: object
) -> Markup:
    """Render a template as a part of a page; values are escaped, other fragments are not."""
    # Imported here, so that the stages before the report do not pay for jinja2.
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters.update(data_uri=data_uri, png_size=png_size, **filters)
    source = files(package).joinpath(template).read_text("utf-8")
    return Markup(environment.from_string(source).render(**values))


def thumbnail_jpeg(picture: NDArray[np.uint8] | Image.Image, size: int = 96) -> bytes:
    """JPEG bytes of an RGB picture, or pixels uint8 [H, W, 3], shrunk to fit into `size` x `size`.

    It is never enlarged. A picture that is given as such is itself shrunk.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=None)
    plain = Image.fromarray(np.asarray(image))  # without the comments and profiles of a file
    file = io.BytesIO()
    plain.save(file, format="jpeg", quality=85)
    return file.getvalue()


def page_css() -> str:
    """The style sheet of every page."""
    return files(__package__).joinpath(STYLE).read_text("utf-8")


def script_digest(script: str) -> str:
    """Name an inline script as a Content-Security-Policy allows it: by the SHA-256 of its text.

    Source: W3C, Content Security Policy Level 3, 2.3.1.
    """
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def data_uri(data: bytes, media: str) -> str:
    """Encode bytes as a data URI; `media` is a type such as `image/png`."""
    return f"data:{media};base64,{base64.b64encode(data).decode('ascii')}"


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header chunk: PNG specification, 11.2.2."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
