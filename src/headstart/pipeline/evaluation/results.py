"""The test images with their predictions, and what the sections of the report draw on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground import paths
from headstart.pipeline.evaluation.metrics import Metrics
from headstart.pipeline.evaluation.settings import Evaluate
from headstart.pipeline.features.feature_file import Rows
from headstart.pipeline.pages.html import thumbnail_jpeg
from headstart.pipeline.pixels.packed import PackedImages


@dataclass(frozen=True)
class Results:
    """The test images with their predictions.

    Attributes:
        options: the section `evaluate` of params.yaml.
        head: metadata of the head's file.
        images: the packed images of all splits, a row each, in the order of `rows`.
        rows: the stored features at the cut, of all splits.
        table: the rows of `images` in the test split, with their places in `rows` as the column `row`.
        labels: int64 [N], places in `classes`.
        probabilities: float64 [N, C].
    """

    options: Evaluate
    head: dict[str, Any]
    images: pd.DataFrame
    rows: Rows
    table: pd.DataFrame
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    metrics: Metrics

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image: int64 [N]."""
        return np.asarray(self.probabilities.argmax(1))

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of that class: float64 [N]."""
        return np.asarray(self.probabilities.max(1))

    @cached_property
    def groups(self) -> list[str] | None:
        """The group of each image, its own picture if it has none; None if no image has a group."""
        return groups_of(self.table)

    def picture(self, place: int, side: int) -> bytes:
        """JPEG bytes of a test image, whose longer side has at most `side` pixels."""
        return picture(int(self.table["row"].iloc[place]), side)


def groups_of(table: pd.DataFrame) -> list[str] | None:
    """The group of each image, its own picture if it has none; None if no image has a group."""
    own = table["group"]
    return own.mask(own == "", table["pixels"]).tolist() if own.ne("").any() else None


def picture(row: int, side: int) -> bytes:
    """JPEG bytes of a packed image of any split, whose longer side has at most `side` pixels."""
    [pixels] = PackedImages(paths.IMAGES).rows(row, row + 1)
    return thumbnail_jpeg(pixels, side)
