"""Simple properties of a packed picture: brightness, contrast, sharpness, information, colour."""

import numpy as np
from numpy.typing import NDArray

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
COLOUR = 3.0  # mean difference of channels, in levels, below which a picture is grey


def looks(packed: NDArray[np.uint8]) -> dict[str, float]:
    """Brightness, contrast and sharpness of a packed picture uint8 [H, W, 3]."""
    return _looks(_luma(packed))


def details(packed: NDArray[np.uint8]) -> dict[str, float]:
    """As `looks`, with the entropy of the luma in bits, and `colour`: levels by which the channels differ."""
    luma = _luma(packed)
    counts = np.bincount((luma * 255 + 0.5).astype(np.int64).ravel(), minlength=256)
    shares = counts[counts > 0] / luma.size
    channels = packed.astype(np.int16)
    return {
        **_looks(luma),
        "information": float(-(shares * np.log2(shares)).sum()),
        "colour": float((channels.max(2) - channels.min(2)).mean()),
    }


def _luma(packed: NDArray[np.uint8]) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = packed.astype(np.float64) @ np.array(LUMA) / 255
    return luma


def _looks(luma: NDArray[np.float64]) -> dict[str, float]:
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    contrast = float(luma.std())
    return {
        "brightness": float(luma.mean()),
        "contrast": contrast,
        "sharpness": float(laplacian.std()) / max(contrast, 1 / 255),
    }
