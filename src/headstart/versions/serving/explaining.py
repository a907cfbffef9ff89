"""The page of `headstart predict --explain`: what a model answers for pictures, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.errors import DataError
from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.data.reading import shown
from headstart.pipeline.explanation.attribution import Attribution, has_maps
from headstart.pipeline.explanation.overlay import overlay_jpeg
from headstart.pipeline.explanation.similar import Nearest, Space, most_similar
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.features.feature_file import Features, features_metadata
from headstart.pipeline.network.network import INPUT, plan, spec_of
from headstart.pipeline.pages.html import render, thumbnail_jpeg
from headstart.pipeline.pixels.packed import PackedImages
from headstart.versions.serving.predictor import Predictor
from headstart.versions.serving.scoring import score

SHOWN = 200  # pictures on a page
CLASSES_SHOWN = 5
NEAREST = 3
SIDE, NEAREST_SIDE = 200, 64  # pixels
SEED = 0  # of the projection of wide features
SAME = ("arch", "width", "cut", "precision", "transform", "replace", "train", "head")


@dataclass(frozen=True)
class Explained:
    """A picture on the page.

    Attributes:
        likely: the most probable classes with their probabilities.
        refused: why the head gives it no label; None if it gives one.
    """

    path: str
    likely: tuple[tuple[str, float], ...]
    refused: str | None
    jpeg: bytes
    overlay_jpeg: bytes | None
    nearest: tuple[Nearest, ...]


@dataclass(frozen=True)
class _Kept:
    """A scored picture as it is kept until the page is written: neither its pixels nor its activations.

    Attributes:
        probabilities: float64 [C].
        vector: float32 [D], where it lies in the space of the stored features; None without one.
    """

    probabilities: np.ndarray
    jpeg: bytes
    overlay_jpeg: bytes | None
    vector: np.ndarray | None


class Explaining:
    """Scores files as its predictor does, and remembers the first 200 for a page.

    Args:
        model: name of the model, for the page.
    """

    def __init__(self, predictor: Predictor, model: str) -> None:
        self._predictor, self._model = predictor, model
        self._why_not = _unusable(predictor.metadata)
        self._kept: list[_Kept] = []
        self._paths: list[Path] = []
        self._readable = self._unreadable = 0

    def score(self, files: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray | DataError]]:
        """Yield the probabilities of each file, or the error that prevented them, in order."""
        for path, found in score(files, self):
            if isinstance(found, DataError):
                self._unreadable += 1
            else:
                self._readable += 1
                if len(self._paths) < SHOWN:
                    self._paths.append(path)
            yield path, found

    def pixels(self, image: bytes) -> np.ndarray:
        """As `Predictor.pixels`."""
        return self._predictor.pixels(image)

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """As `Predictor.predict_pixels`."""
        features = self._predictor.features(pixels)
        probabilities = self._predictor.predict_features(features)
        if room := SHOWN - len(self._kept):
            self._keep(pixels[:room], features[:room].cpu().numpy(), probabilities[:room])
        return probabilities

    def page(self) -> str:
        """The page about the pictures scored so far, as text for a UTF-8 file."""
        pictures = [
            Explained(
                path=shown(str(path)),
                likely=self._likely(kept.probabilities),
                refused=self._predictor.refusal(kept.probabilities),
                jpeg=kept.jpeg,
                overlay_jpeg=kept.overlay_jpeg,
                nearest=own,
            )
            for path, kept, own in zip(self._paths, self._kept, self._nearest(), strict=True)
        ]
        return render(
            "headstart.versions.serving",
            "explaining.html.j2",
            {},
            model=self._model,
            head=self._predictor.metadata["digest"],
            pictures=pictures,
            readable=self._readable,
            unreadable=self._unreadable,
            why_not=self._why_not,
        )

    def _keep(self, pixels: np.ndarray, features: np.ndarray, probabilities: np.ndarray) -> None:
        overlays: list[bytes | None] = [None] * len(pixels)
        if self._attribution is not None:
            maps = self._attribution.maps(pixels, probabilities.argmax(1))
            overlays = [overlay_jpeg(*pair, SIDE) for pair in zip(pixels, maps, strict=True)]
        vectors = [None] * len(pixels) if self._why_not else self._space.vectors_of(features)
        self._kept += [
            _Kept(own, thumbnail_jpeg(image, SIDE), overlay, vector)
            for own, image, overlay, vector in zip(probabilities, pixels, overlays, vectors, strict=True)
        ]

    def _likely(self, probabilities: np.ndarray) -> tuple[tuple[str, float], ...]:
        best = np.argsort(-probabilities, kind="stable")[:CLASSES_SHOWN]
        return tuple((self._predictor.classes[index], float(probabilities[index])) for index in best)

    @cached_property
    def _attribution(self) -> Attribution | None:
        metadata = self._predictor.metadata
        network = plan(spec_of(metadata))
        if not has_maps(network):
            return None
        return Attribution(
            network=network,
            prefix=self._predictor.prefix,
            head=self._predictor.head,
            arch=metadata["arch"],
            transform=metadata["transform"],
            precision=self._predictor.precision,
        )

    @cached_property
    def _table(self) -> pd.DataFrame:
        return load_table(paths.IMAGE_TABLE, ["path", "label", "split"])

    @cached_property
    def _train(self) -> range:
        return rows_of(self._table, "train", tuple(sorted(self._table["label"].unique()))).indices

    @cached_property
    def _space(self) -> Space:
        return Space.of(Features(paths.FEATURES), self._train, SEED)

    def _nearest(self) -> list[tuple[Nearest, ...]]:
        """The training images most like each picture; none if there is a reason why not."""
        vectors = [kept.vector for kept in self._kept if kept.vector is not None]
        if not vectors:
            return [()] * len(self._kept)
        found = most_similar(self._space, np.stack(vectors), self._train, NEAREST)
        packed = PackedImages(paths.IMAGES)
        return [
            tuple(
                _near(self._table, packed, int(row), float(alike)) for row, alike in zip(*pair, strict=True)
            )
            for pair in zip(found.rows, found.similarities, strict=True)
        ]


def _unusable(metadata: dict[str, Any]) -> str:
    """Why the stored features of this project cannot show similar images; empty if they can."""
    needed = (paths.FEATURES, paths.IMAGES, paths.IMAGE_TABLE)
    if missing := [path.as_posix() for path in needed if not path.exists()]:
        return f"they are not stored here: there is no {missing[0]} in this project"
    if metadata["cut"] == INPUT:
        return "nothing of this network is frozen, so no features are stored"
    stored = features_metadata(paths.FEATURES)
    differ = [name for name in SAME if stored.get(name) != metadata.get(name)]
    if stored["backbone"]["digest"] != metadata["backbone"]["digest"]:
        differ.append("backbone")
    if differ:
        return f"{paths.FEATURES} is of another network than this model ({', '.join(differ)})"
    return ""


def _near(table: pd.DataFrame, packed: PackedImages, row: int, similarity: float) -> Nearest:
    path, label = table["path"].iloc[row], table["label"].iloc[row]
    return Nearest(path, label, similarity, thumbnail_jpeg(packed.rows(row, row + 1)[0], NEAREST_SIDE))
