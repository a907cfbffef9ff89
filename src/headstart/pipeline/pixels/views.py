"""Augmentation as fixed views of a packed image: drawn once, the same on every run."""

import hashlib

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

SCALE = (0.6, 1.0)  # share of the picture's area that a crop keeps
JITTER = 0.2  # brightness, contrast and saturation change by at most this share


def view_key(image: str, view: int, seed: int) -> str:
    """Hexadecimal key of a view of the image with that digest; view 0 is the image itself."""
    return image if view == 0 else hashlib.sha256(f"{image} view {view} seed {seed}".encode()).hexdigest()


def make_view(pixels: np.ndarray, key: str) -> np.ndarray:
    """Flip, crop and recolour a picture as its key determines: uint8 [H, W, 3].

    torchvision's RandomResizedCrop, RandomHorizontalFlip and ColorJitter, seeded by the key.
    """
    height, width = pixels.shape[:2]
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop((height, width), scale=SCALE),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(JITTER, JITTER, JITTER),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(key[:15], 16))
        return np.asarray(transform(Image.fromarray(pixels)))
