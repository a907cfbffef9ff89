"""Pictures that drifted in a known way."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Change = Callable[[Image.Image, int], Image.Image]


def blur(picture: Image.Image, number: int) -> Image.Image:
    """Out of focus: a Gaussian of 1.5 pixels."""
    return picture.filter(ImageFilter.GaussianBlur(1.5))


def darkness(picture: Image.Image, number: int) -> Image.Image:
    """A lamp that failed: three quarters of the light."""
    return picture.point(lambda value: value * 3 // 4)


def camera(picture: Image.Image, number: int) -> Image.Image:
    """Another camera: 3/4 of the resolution, a warmer white balance, vignetting, JPEG of quality 60."""
    small = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.BILINEAR)
    x = np.linspace(-1, 1, small.width)[None, :]
    y = np.linspace(-1, 1, small.height)[:, None]
    light = (1 - 0.12 * (x * x + y * y))[..., None] * np.array([1.05, 1.0, 0.93])
    pixels = np.clip(np.asarray(small) * light, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="jpeg", quality=60)
    taken = Image.open(file)
    taken.load()
    return taken


def new_class(picture: Image.Image, number: int) -> Image.Image:
    """A defect that training never saw: one to three drilled holes."""
    random = np.random.default_rng(number)
    changed = picture.copy()
    draw = ImageDraw.Draw(changed)
    for _ in range(int(random.integers(1, 4))):
        radius = int(random.integers(6, 15))
        x, y = (int(random.integers(2 * radius, side - 2 * radius)) for side in picture.size)
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=(35, 32, 30), outline=(210, 210, 205)
        )
    return changed


DRIFTS: dict[str, Change] = {
    "blur": blur,
    "darkness": darkness,
    "another camera": camera,
    "a new class": new_class,
}
