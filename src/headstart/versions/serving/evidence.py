"""Evidence for an answer: the places in the picture that count, and the training images most like it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.explanation.attribution import Attribution, has_maps
from headstart.pipeline.explanation.similar import Nearest, Space, most_similar
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.features.feature_file import Features, features_metadata
from headstart.pipeline.network.network import INPUT, plan, spec_of
from headstart.pipeline.pages.html import thumbnail_jpeg
from headstart.pipeline.pixels.packed import NEEDED, PackedImages
from headstart.versions.serving.predictor import Predictor

SEED = 0  # of the projection of wide features
SAME = ("arch", "width", "cut", "precision", "transform", "replace", "train", "head")
SEARCHED = (paths.FEATURES, paths.IMAGE_TABLE)
NEAREST_SIDE = 64  # pixels
HELD_BYTES = 256 << 20  # vectors of training images that are kept in memory, if they are searched often

Vectors = NDArray[np.float32]


def attribution_of(predictor: Predictor) -> Attribution | None:
    """The attribution maps of a predictor's network; None if none of its convolutions makes maps."""
    metadata = predictor.metadata
    network = plan(spec_of(metadata))
    if not has_maps(network):
        return None
    return Attribution(
        network=network,
        prefix=predictor.prefix,
        head=predictor.head,
        arch=metadata["arch"],
        transform=metadata["transform"],
        precision=predictor.precision,
    )


def unusable(metadata: dict[str, Any], root: Path = Path()) -> str:
    """Why the stored features of a project cannot show similar images; empty if they can.

    Args:
        metadata: of the head that answers.
    """
    if missing := [path.as_posix() for path in SEARCHED if not (root / path).exists()]:
        return f"they are not stored here: there is no {missing[0]} in this project"
    if metadata["cut"] == INPUT:
        return "nothing of this network is frozen, so no features are stored"
    stored = features_metadata(root / paths.FEATURES)
    differ = [name for name in SAME if stored.get(name) != metadata.get(name)]
    if stored["backbone"]["digest"] != metadata["backbone"]["digest"]:
        differ.append("backbone")
    if differ:
        return f"{paths.FEATURES} is of another network than this model ({', '.join(differ)})"
    return ""


class TrainingImages:
    """The training images of a project, searched by the features at a predictor's cut.

    Args:
        root: of the project.
        is_held: whether the vectors of all images stay in memory, up to 256 MiB, for quick searches.
    """

    def __init__(self, root: Path = Path(), is_held: bool = False) -> None:
        self._root, self._is_held = root, is_held
        self._marks = self._marks_now()

    @property
    def has_changed(self) -> bool:
        """Whether a file that is searched was replaced since this object was made."""
        return self._marks != self._marks_now()

    def vectors_of(self, features: Vectors) -> Vectors:
        """The places of pictures among the training images, from their features: float32 [n, D]."""
        return self._space.vectors_of(features)

    def nearest(self, vectors: Vectors, count: int) -> list[tuple[Nearest, ...]]:
        """The training images most like each picture, the most similar first.

        Args:
            vectors: of the pictures, float32 [Q, D].
        """
        found = most_similar(self._searched, vectors, self._train, count)
        packed = PackedImages(self._table, self._root)
        return [
            tuple(
                _near(self._table, packed, int(row), float(alike)) for row, alike in zip(*pair, strict=True)
            )
            for pair in zip(found.rows, found.similarities, strict=True)
        ]

    def _marks_now(self) -> list[tuple[int, int, int] | None]:
        return [_mark(self._root / path) for path in SEARCHED]

    @cached_property
    def _table(self) -> pd.DataFrame:
        return load_table(self._root / paths.IMAGE_TABLE, ["label", "split", *NEEDED])

    @cached_property
    def _train(self) -> range:
        return rows_of(self._table, "train", tuple(sorted(self._table["label"].unique()))).indices

    @cached_property
    def _space(self) -> Space:
        return Space.of(Features(self._root / paths.FEATURES), self._train, SEED)

    @cached_property
    def _searched(self) -> Space:
        own = self._space
        size = len(self._train) * own.narrowed.width * np.dtype(np.float32).itemsize
        if not self._is_held or size > HELD_BYTES:
            return own
        units = np.concatenate(list(own.vectors(self._train)))
        return _Held(own.narrowed, own.mean, own.scale, units, self._train.start)


@dataclass(frozen=True)
class _Held(Space):
    """A space with the vectors of the rows from `start` on in memory: float32 [N, D]."""

    units: Vectors
    start: int

    def vectors(self, rows: range) -> Iterator[Vectors]:
        yield self.units[rows.start - self.start : rows.stop - self.start]


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Changes if a file is replaced; None for a missing one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _near(table: pd.DataFrame, packed: PackedImages, row: int, similarity: float) -> Nearest:
    path, label = table["path"].iloc[row], table["label"].iloc[row]
    return Nearest(path, label, similarity, thumbnail_jpeg(packed.rows(row, row + 1)[0], NEAREST_SIDE))
