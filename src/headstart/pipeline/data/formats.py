"""The image formats that are ever opened."""

from functools import cache

from PIL import Image

RUN_BY_OTHERS = {"EPS", "WMF"}  # Pillow starts Ghostscript or asks Windows for these


@cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of all formats that it decodes itself, for `Image.open`."""
    Image.init()
    return tuple(name for name in Image.ID if name not in RUN_BY_OTHERS)
