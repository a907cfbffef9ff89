"""A synthetic surface-inspection set: brushed metal, classes `ok` and `scratch`.

The classes differ only in the direction of a few fine grooves: along the brushing they belong to the
surface, across it they are scratches. Everything else about an image comes from the same distribution
in both classes, so that size, brightness and contrast reveal nothing. Integer arithmetic and
uncompressed PNG give the same bytes on every machine.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import DataError

Grid = NDArray[np.int32]

LABELS = ("ok", "scratch")
IMAGES_PER_CLASS = 240
SIDES = (224, 320)  # pixels
SEED = 16
DVC_DIGEST = "1361e2156d5b2dee73c31be73f50801e.dir"  # of the default set, in data.dvc
ONE = 256  # fixed point: 1.0 of a share, a slope or a grey level; one standard deviation of the brushing
UNIT = 1024  # length of a direction vector


def draw_sample(
    folder: Path,
    *,
    images_per_class: int = IMAGES_PER_CLASS,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Draw the set as `folder`/ok/0000.png... and `folder`/scratch/0000.png...

    The folder appears complete or not at all. An image depends only on its label and number: drawing
    more of them leaves the others unchanged.

    Args:
        images_per_class: 240 per class take 106 MB.
        report: called after each image with the number drawn so far and the total.

    Raises:
        DataError: the folder is not empty, or `images_per_class` is less than 1.
    """
    if images_per_class < 1:
        raise DataError(f"images per class: {images_per_class} is too few; expected at least 1")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(
            f"{folder} exists and is not an empty folder; move it away or name another folder for the sample"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        drawn = Path(temporary) / "drawn"
        _fill(drawn, images_per_class, report)
        drawn.replace(folder)


def _fill(folder: Path, per_class: int, report: Callable[[int, int], None] | None) -> None:
    for label in LABELS:
        (folder / label).mkdir(parents=True)
    names = [(label, index) for index in range(per_class) for label in LABELS]
    for done, (label, index) in enumerate(names, start=1):
        draw_image(label, index).save(folder / label / f"{index:04d}.png", compress_level=0)
        if report is not None:
            report(done, len(names))


def draw_image(label: str, index: int) -> Image.Image:
    """Image number `index` of a class in LABELS: RGB, each side within SIDES."""
    rng = np.random.Generator(np.random.PCG64([SEED, LABELS.index(label), index]))
    width, height = _between(rng, *SIDES), _between(rng, *SIDES)
    slope = _between(rng, -20, 20)  # of the brushing: up to 4.5 degrees
    relief = _brushing(rng, width, height, slope)
    for _ in range(_between(rng, 0, 2)):
        _add_stain(relief, rng)
    for _ in range(_between(rng, 0, 2)):
        _add_dent(relief, rng)
    for _ in range(_between(rng, 0, 24)):
        _add_dust(relief, rng)
    for _ in range(_between(rng, 0, 2)):
        _carve(relief, _groove(rng, width, height, slope, across=False))
    for _ in range(_between(rng, 3, 5)):
        _carve(relief, _groove(rng, width, height, slope, across=label == "scratch"))
    return _photograph(relief, rng)


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """A random integer, both ends included."""
    return int(rng.integers(low, high, endpoint=True))


def _brushing(rng: np.random.Generator, width: int, height: int, slope: int) -> Grid:
    """Streaks of three lengths, sheared by `slope`: [height, width], deviation about ONE."""
    columns = np.arange(width, dtype=np.int32)
    shift = slope * columns - min(slope * (width - 1), 0)
    rows = height + int(shift.max() // ONE) + 2
    streaks = np.zeros((rows, width), np.int32)
    for length in (32, 96, 300):
        streaks += _streaks(rng, rows, width, length)
    above = np.arange(height, dtype=np.int32)[:, None] + shift // ONE
    part = shift % ONE
    mixed: Grid = streaks[above, columns] * (ONE - part) + streaks[above + 1, columns] * part
    return mixed // ONE


def _streaks(rng: np.random.Generator, rows: int, width: int, length: int) -> Grid:
    """Noise averaged over `length` columns and two rows, deviation about ONE / sqrt(3)."""
    noise = rng.integers(-128, 128, (rows + 1, width + length), dtype=np.int8)
    total = np.cumsum(noise, axis=1, dtype=np.int32)
    total = total[1:] + total[:-1]
    streaks: Grid = (total[:, length:] - total[:, :-length]) * 22 // (16 * math.isqrt(length))
    return streaks


@dataclass(frozen=True)
class _Patch:
    """The part of a relief around a point: a view of it, and each pixel's distance to the point."""

    part: Grid
    x: Grid
    y: Grid


def _patch(relief: Grid, x: int, y: int, reach_x: int, reach_y: int) -> _Patch:
    height, width = relief.shape
    left, right = max(x - reach_x, 0), min(x + reach_x + 1, width)
    top, bottom = max(y - reach_y, 0), min(y + reach_y + 1, height)
    return _Patch(
        relief[top:bottom, left:right],
        np.arange(left - x, right - x, dtype=np.int32)[None, :],
        np.arange(top - y, bottom - y, dtype=np.int32)[:, None],
    )


def _patch_somewhere(relief: Grid, rng: np.random.Generator, radius: int) -> _Patch:
    height, width = relief.shape
    x, y = _between(rng, 0, width - 1), _between(rng, 0, height - 1)
    return _patch(relief, x, y, radius, radius)


def _bump(patch: _Patch, radius: int) -> Grid:
    """ONE at the point, falling smoothly to 0 at `radius`."""
    inside = np.maximum(radius * radius - patch.x * patch.x - patch.y * patch.y, 0)
    share = inside * ONE // (radius * radius)
    bump: Grid = share * share // ONE
    return bump


def _add_stain(relief: Grid, rng: np.random.Generator) -> None:
    radius = _between(rng, 20, 70)
    patch = _patch_somewhere(relief, rng, radius)
    patch.part[...] += _bump(patch, radius) * _between(rng, -300, 300) // ONE


def _add_dent(relief: Grid, rng: np.random.Generator) -> None:
    """A soft dent: one side bright, the other dark."""
    radius = _between(rng, 10, 30)
    patch = _patch_somewhere(relief, rng, radius)
    slant = patch.x * _between(rng, -768, 768) + patch.y * _between(rng, -768, 768)
    patch.part[...] += _bump(patch, radius) * (slant // radius) // ONE


def _add_dust(relief: Grid, rng: np.random.Generator) -> None:
    radius = _between(rng, 1, 3)
    patch = _patch_somewhere(relief, rng, radius)
    patch.part[...] += _bump(patch, radius) * _between(rng, -900, 300) // ONE


@dataclass(frozen=True)
class _Groove:
    """`x`, `y`, `half` in pixels; `lobe`, half the width of either side, and `bend`, how far the
    ends stand off, in 1/16 pixel; `pieces`: the share of `depth` left every 16 pixels."""

    x: int
    y: int
    direction: tuple[int, int]
    half: int
    lobe: int
    bend: int
    depth: int
    pieces: Grid


def _groove(rng: np.random.Generator, width: int, height: int, slope: int, *, across: bool) -> _Groove:
    """A groove in the middle part of the image, at 38 to 90 degrees to the brushing, or along it."""
    short = min(width, height)
    half = short * _between(rng, 25, 50) // 100
    turn = _between(rng, 44, 128) if across else _between(rng, 0, 2)
    return _Groove(
        x=width // 2 + short * _between(rng, -25, 25) // 100,
        y=height // 2 + short * _between(rng, -25, 25) // 100,
        direction=_direction(slope, turn * _sign(rng)),
        half=half,
        lobe=_between(rng, 22, 36),
        bend=_between(rng, -48, 48),
        depth=_between(rng, 2200, 3200) * _sign(rng),
        pieces=rng.integers(64, 256, 2 * half // 16 + 2, dtype=np.int32),
    )


def _sign(rng: np.random.Generator) -> int:
    return 1 - 2 * _between(rng, 0, 1)


def _direction(slope: int, turn: int) -> tuple[int, int]:
    """The brushing's direction turned by 2 atan(turn / 128), of length UNIT."""
    length = math.isqrt(ONE * ONE + slope * slope)
    x, y = UNIT * ONE // length, -UNIT * slope // length
    square = 128 * 128 + turn * turn
    cosine, sine = UNIT * (128 * 128 - turn * turn) // square, UNIT * 2 * 128 * turn // square
    return (x * cosine - y * sine) // UNIT, (x * sine + y * cosine) // UNIT


def _carve(relief: Grid, groove: _Groove) -> None:
    """Add a groove: a bright and a dark side that cancel, fading out at the ends."""
    (dx, dy), half, margin = groove.direction, groove.half, 8
    reach_x, reach_y = abs(dx) * half // UNIT + margin, abs(dy) * half // UNIT + margin
    patch = _patch(relief, groove.x, groove.y, reach_x, reach_y)
    along = (patch.x * dx + patch.y * dy) // UNIT
    off = (patch.y * dx - patch.x * dy) // (UNIT // 16)
    off += groove.bend * along * along // (half * half)

    fade = np.maximum(half * half - along * along, 0) * ONE // (half * half)
    piece, part = np.divmod(np.clip(along + half, 0, 2 * half), 16)
    left = (groove.pieces[piece] * (16 - part) + groove.pieces[piece + 1] * part) // 16
    distance = np.abs(off)
    side = np.sign(off) * np.maximum(np.minimum(distance, 2 * groove.lobe - distance), 0)
    patch.part[...] += fade * left // ONE * side // groove.lobe * groove.depth // ONE


def _photograph(relief: Grid, rng: np.random.Generator) -> Image.Image:
    """The relief under uneven light, with its own brightness, contrast, tint and noise."""
    height, width = relief.shape
    x = np.arange(width, dtype=np.int32)[None, :] * (2 * ONE) // width - ONE
    y = np.arange(height, dtype=np.int32)[:, None] * (2 * ONE) // height - ONE
    relief = np.clip(relief, -960, 960)  # or else grooves across the streaks stand out by their extremes
    level = relief * _between(rng, 1400, 2500) // ONE  # a standard deviation of 5 to 10 grey levels
    level += _between(rng, -14, 14) * x + _between(rng, -14, 14) * y
    level += _between(rng, -14, 14) * (x * x // ONE - ONE // 3)
    level += _between(rng, 92, 144) * ONE
    level += rng.integers(-2 * ONE, 2 * ONE, level.shape, dtype=np.int32)
    tint = rng.integers(246, ONE, 3, dtype=np.int32, endpoint=True)
    channels = np.clip(level[:, :, None] * tint // (ONE * ONE), 0, 255)
    return Image.fromarray(channels.astype(np.uint8))
