"""The test images with their predictions, and what the sections of the report draw on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation.metrics import Metrics
from headstart.pipeline.evaluation.settings import Evaluate
from headstart.pipeline.explanation.similar import Space
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.features.feature_file import Rows
from headstart.pipeline.features.vectors import Vectors, vectors
from headstart.pipeline.network.abstention import Abstention
from headstart.pipeline.network.network import INPUT
from headstart.pipeline.pages.html import thumbnail_jpeg
from headstart.pipeline.pixels.packed import PackedImages
from headstart.progress import bar


@dataclass(frozen=True)
class Validation:
    """The validation images with their predictions, on which thresholds are chosen.

    Attributes:
        rows: their places in the stored features.
        labels: int64 [M], places in the classes.
        probabilities: float64 [M, C].
    """

    rows: range
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]


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
        temperature: of the head, 1 if none was fitted.
        abstention: when the head gives no label; None if it always does. All figures count its most probable
            class.
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
    validation: Validation
    temperature: float = 1.0
    abstention: Abstention | None = None

    @property
    def own_groups(self) -> list[str]:
        """The group of each image, which is itself if it has none."""
        return [row.group or row.pixels for row in self.table.itertuples()]

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

    @cached_property
    def vectors(self) -> Vectors | None:
        """A short vector for each of `images`: float32 [M, at most 128]; None if nothing is frozen."""
        if self.head["cut"] == INPUT:
            return None
        with bar(2 * len(self.images), "vectors", "row") as progress:
            return vectors(self.rows, len(self.images), self.options.seed, progress.update)

    @cached_property
    def space(self) -> Space:
        """The stored features as unit vectors, measured on training images; only if something is frozen."""
        train = rows_of(self.images, "train", self.classes).indices
        return Space.of(self.rows, train, self.options.seed)

    @cached_property
    def families(self) -> NDArray[np.int64]:
        """Numbers of the sets of `images` that are linked by group, near duplicate or equal pixels: [M]."""
        similar = load_table(paths.MANIFEST, ["path", "similar"]).set_index("path")["similar"]
        near = similar.reindex(self.images["path"]).fillna("")
        count = width = len(self.images)
        rows, columns = [], []
        for key in (self.images["group"], near, self.images["pixels"]):
            texts = key.to_numpy()
            numbers, names = pd.factorize(texts)
            linked = np.flatnonzero(texts != "")
            rows.append(linked)
            columns.append(width + numbers[linked])
            width += len(names)
        places = np.concatenate(rows), np.concatenate(columns)
        graph = coo_array((np.ones(len(places[0])), places), shape=(width, width))
        sets = connected_components(graph, directed=False)[1][:count]
        return np.asarray(pd.factorize(sets)[0], np.int64)

    @cached_property
    def classes_of_images(self) -> NDArray[np.int64]:
        """The class of each of `images`, of all splits: int64 [M], places in `classes`."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.asarray(self.images["label"].map(places).to_numpy(np.int64))

    def picture(self, place: int, side: int) -> bytes:
        """JPEG bytes of a test image, whose longer side has at most `side` pixels."""
        return self.picture_of(int(self.table["row"].iloc[place]), side)

    def picture_of(self, row: int, side: int) -> bytes:
        """JPEG bytes of an image of any split, whose longer side has at most `side` pixels."""
        [pixels] = self.packed.rows(row, row + 1)
        return thumbnail_jpeg(pixels, side)

    @cached_property
    def packed(self) -> PackedImages:
        """The packed images of all splits."""
        return PackedImages(self.images)


def groups_of(table: pd.DataFrame) -> list[str] | None:
    """The group of each image, its own picture if it has none; None if no image has a group."""
    own = table["group"]
    return own.mask(own == "", table["pixels"]).tolist() if own.ne("").any() else None
