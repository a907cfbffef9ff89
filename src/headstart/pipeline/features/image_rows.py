"""The images themselves as rows, for networks whose cut is the input: nothing is copied."""

from collections.abc import Sequence

import numpy as np
import torch
from torchvision.transforms._presets import ImageClassification

from headstart.pipeline.pixels.packed import PackedImages
from headstart.pipeline.pixels.transforms import normalise
from headstart.pipeline.pixels.views import make_view, view_key


class ImageRows:
    """Packed images as network input, normalised when they are read.

    Args:
        keys: digest of each image, from which its views are drawn.
        views: number of views of each training image, including the plain one.
        seed: seed of the views.
    """

    def __init__(
        self,
        images: PackedImages,
        transform: ImageClassification,
        keys: Sequence[str],
        views: int,
        seed: int,
    ) -> None:
        self._images = images
        self._transform = transform
        self._keys = keys
        self._seed = seed
        self.views = views
        height, width, channels = images.shape[1:]
        self.row_shape = (channels, height, width)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return normalise(torch.from_numpy(self._images.rows(start, stop)), self._transform)

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        pixels = self._images.rows(start, start + len(views))
        for index in np.flatnonzero(views):
            key = view_key(self._keys[start + int(index)], int(views[index]), self._seed)
            pixels[index] = make_view(pixels[index], key)
        return normalise(torch.from_numpy(pixels), self._transform)
