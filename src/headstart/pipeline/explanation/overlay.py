"""A picture with a map of its evidence over it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.pipeline.pages.html import thumbnail_jpeg

# Inferno of matplotlib (N. J. Smith, S. van der Walt, 2015) at equal steps: its lightness rises evenly, so it
# reads the same with every kind of colour vision, and in grey.
COLOURS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
COVERED = 0.75  # of the picture, where the evidence is strongest
OUTLINED = 0.5
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def overlay_jpeg(pixels: NDArray[np.uint8], evidence: NDArray[np.float32], size: int = 224) -> bytes:
    """JPEG bytes of a picture in grey, coloured where the evidence is, at most `size` pixels a side.

    A white line surrounds the places with at least half of the strongest evidence.

    Args:
        pixels: uint8 [H, W, 3].
        evidence: float32 [H, W] in [0, 1].
    """
    grey = (pixels @ np.array(LUMA))[:, :, None]
    steps = np.linspace(0, 1, len(COLOURS))
    heat = np.stack([np.interp(evidence, steps, channel) for channel in zip(*COLOURS, strict=True)], axis=2)
    share = COVERED * np.sqrt(evidence)[:, :, None]  # so that weak evidence is seen at all
    mixed = grey * (1 - share) + heat * share
    mixed[_outline(evidence >= OUTLINED)] = 255
    return thumbnail_jpeg(Image.fromarray((mixed + 0.5).astype(np.uint8)), size)


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels inside that have a neighbour outside."""
    framed = np.pad(inside, 1, mode="edge")
    kept = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    edge: NDArray[np.bool_] = inside & ~kept
    return edge
