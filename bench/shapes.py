"""Draw a set of classes that are easily confused, with the faults of real folders, to judge pages by.

A class is a colour, a pattern and a shape, and differs from its nearest neighbours in one of them. Shapes lie
turned, small or large, among clutter, under uneven light, blurred and noisy. Planted are a rare class, long
names that end alike, an exact and a smaller copy, one picture in forty in the next class's folder, unreadable
files and files that are no pictures. The same arguments give the same files with the same Pillow.

.venv/bin/python bench/shapes.py FOLDER --classes 10 --images 40
"""

import argparse
import itertools
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.float64]

COLOURS = {
    "scarlet": (196, 40, 44),
    "crimson": (165, 28, 62),
    "teal": (28, 128, 132),
    "turquoise": (60, 170, 165),
}
PATTERNS = ("plain", "striped", "checked", "dotted", "ringed")
SHAPES = {"pentagon": 5, "hexagon": 6, "square": 4, "star": -5, "disc": 90}  # corners; a star's are negative
LONG = " seen from above, second half of the line, camera B, lens cleaned, lot "
RARE = 0.3  # of the usual number of images
FEWEST = 10  # images of a class, as in validate.min_images_per_class
WRONG = 40  # one picture in so many lies in the next class's folder
FIRST = datetime(2024, 3, 4, 8, 0)
SIDES = (160, 520)  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classes", type=int, default=10, help="2 to 100")
    parser.add_argument("--images", type=int, default=40, help="per class")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    draw_set(chosen.folder, chosen.classes, chosen.images, chosen.seed)


def draw_set(folder: Path, classes: int, images: int, seed: int = 0) -> None:
    """Draw `images` JPEG files for each of `classes` folders, of 2 to 100; the last class is rare."""
    kinds = list(itertools.product(SHAPES, PATTERNS, COLOURS))[:classes]
    names = [class_name(*kind, place) for place, kind in enumerate(kinds)]
    for name in names:
        (folder / name).mkdir(parents=True)
    for place, kind in enumerate(kinds):
        is_rare = place == classes - 1
        count = max(FEWEST, round(RARE * images)) if is_rare else images
        for number in range(count):
            random = np.random.default_rng([seed, place, number])
            wrong = random.random() < 1 / WRONG and not is_rare
            _save(
                _picture(random, *kind),
                _file(folder, names[(place + wrong) % classes], place, number),
                random,
            )
    _add_faults(folder, names)


def class_name(shape: str, pattern: str, colour: str, place: int) -> str:
    """Name of a class; every fifth is long, and such names differ at their ends alone."""
    name = f"{colour} {pattern} {shape}"
    return f"{shape}s of any pattern and colour,{LONG}{place:03}" if place % 5 == 3 else name


def _file(folder: Path, name: str, place: int, number: int) -> Path:
    return folder / name / f"IMG_{place:03}_{number:04}.jpg"


def _save(picture: Image.Image, path: Path, random: np.random.Generator) -> None:
    exif = Image.Exif()
    taken = FIRST + timedelta(days=int(random.integers(0, 90)), minutes=int(random.integers(0, 600)))
    exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")  # DateTimeOriginal
    picture.save(path, quality=int(random.integers(55, 96)), exif=exif)


def _picture(random: np.random.Generator, shape: str, pattern: str, colour: str) -> Image.Image:
    """A photograph of one shape among clutter."""
    width, height = (int(side) for side in random.integers(*SIDES, 2))
    size = min(width, height)
    picture = _shaded(random, width, height, random.uniform(90, 190, 3))
    for _ in range(random.integers(3, 12)):
        colours = random.uniform(40, 220, 3)
        _paste(picture, random, "square", _texture(random, str(random.choice(PATTERNS)), colours, size), 0.12)
    tint = np.array(COLOURS[colour]) + random.normal(0, 14, 3)
    _paste(picture, random, shape, _texture(random, pattern, tint, size), float(random.uniform(0.25, 0.8)))
    blurred = picture.filter(ImageFilter.GaussianBlur(float(random.gamma(1.2, 0.8))))
    noise = random.normal(0, random.uniform(1, 14), (height, width, 1))
    light = random.uniform(0.6, 1.25)
    return Image.fromarray(np.clip(np.asarray(blurred) * light + noise, 0, 255).astype(np.uint8))


def _shaded(random: np.random.Generator, width: int, height: int, colour: Pixels) -> Image.Image:
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j] - 0.5
    slope = random.normal(0, 0.35, 2)
    light = 1 + slope[0] * down + slope[1] * right
    return Image.fromarray(np.clip(light[..., None] * colour, 0, 255).astype(np.uint8))


def _texture(random: np.random.Generator, pattern: str, colour: Pixels, size: int) -> Image.Image:
    """A square of `size` pixels; its pattern is a lighter tone of the colour."""
    down, right = np.mgrid[0:size, 0:size].astype(float)
    period = size * random.uniform(0.07, 0.16)
    wave, across = (np.sin(2 * math.pi * axis / period) for axis in (down, right))
    around = np.sin(2 * math.pi * np.hypot(down - size / 2, right - size / 2) / period)
    tones = {
        "plain": np.zeros((size, size)),
        "striped": wave > 0,
        "checked": (wave > 0) ^ (across > 0),
        "dotted": wave + across > 0.8,
        "ringed": around > 0,
    }
    tone = tones[pattern][..., None] * random.uniform(30, 90)
    return Image.fromarray(np.clip(colour + tone, 0, 255).astype(np.uint8))


def _paste(
    picture: Image.Image, random: np.random.Generator, shape: str, texture: Image.Image, share: float
) -> None:
    """Paste the shape, turned, at a random place; `share` is its width by that of the texture."""
    side = max(8, round(share * texture.width))
    mask = Image.new("L", texture.size)
    ImageDraw.Draw(mask).polygon(_corners(shape, texture.width), fill=255)
    angle = float(random.uniform(0, 360))
    layers = [
        layer.resize((side, side), Image.Resampling.BILINEAR).rotate(angle, Image.Resampling.BILINEAR)
        for layer in (texture, mask)
    ]
    place = [int(random.integers(0, max(1, long - side + 1))) for long in picture.size]
    picture.paste(layers[0], (place[0], place[1]), layers[1])


def _corners(shape: str, size: int) -> list[tuple[float, float]]:
    count = SHAPES[shape]
    turns = np.arange(2 * abs(count)) / (2 * abs(count)) if count < 0 else np.arange(count) / count
    reach = np.where(np.arange(len(turns)) % 2, 0.45, 1.0) if count < 0 else np.ones(len(turns))
    radius = 0.49 * size * reach
    around = 2 * math.pi * turns
    return [
        (float(x), float(y))
        for x, y in zip(size / 2 + radius * np.cos(around), size / 2 + radius * np.sin(around), strict=True)
    ]


def _add_faults(folder: Path, names: list[str]) -> None:
    """An image twice in its class, another smaller; files that cannot be read or are no images."""
    first, second = names[:2]
    source = sorted((folder / first).glob("*.jpg"))
    (folder / first / "copy of the first.jpg").write_bytes(source[0].read_bytes())
    picture = Image.open(source[2])
    picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)).save(folder / first / "smaller.jpg")
    (folder / second / "cut short.jpg").write_bytes(source[3].read_bytes()[:900])
    Image.new("RGB", (16, 16)).save(folder / second / "thumbnail.jpg")
    (folder / second / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "notes.txt").write_text("Camera B was cleaned on 2 April.\n")


if __name__ == "__main__":
    main()
