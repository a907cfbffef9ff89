"""The page of `headstart predict --explain`: what a model answers for pictures, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


class Explaining:
    """Scores files as its predictor does, and remembers the first 200 for a page.

    Args:
        model: name of the model, for the page.
    """

    def __init__(self, predictor: Predictor, model: str) -> None:
        self._predictor, self._model = predictor, model
        self._pixels: list[np.ndarray] = []
        self._features: list[np.ndarray] = []
        self._answers: list[tuple[Path, np.ndarray]] = []
        self._readable = self._unreadable = 0

    def score(self, files: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray | DataError]]:
        """Yield the probabilities of each file, or the error that prevented them, in order."""
        for path, found in score(files, self):
            if isinstance(found, DataError):
                self._unreadable += 1
            else:
                self._readable += 1
                if len(self._answers) < SHOWN:
                    self._answers.append((path, found))
            yield path, found

    def pixels(self, image: bytes) -> np.ndarray:
        """As `Predictor.pixels`."""
        return self._predictor.pixels(image)

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """As `Predictor.predict_pixels`."""
        features = self._predictor.features(pixels)
        room = SHOWN - len(self._pixels)
        self._pixels += list(pixels[:room])
        if self._predictor.prefix.layers:
            self._features += list(features[:room].cpu().numpy())
        return self._predictor.predict_features(features)

    def page(self) -> str:
        """The page about the pictures scored so far, as text for a UTF-8 file."""
        near, why_not = self._nearest()
        pictures = [
            Explained(
                path=shown(str(path)),
                likely=self._likely(probabilities),
                refused=self._predictor.refusal(probabilities),
                jpeg=thumbnail_jpeg(pixels, SIDE),
                overlay_jpeg=overlay,
                nearest=own,
            )
            for (path, probabilities), pixels, overlay, own in zip(
                self._answers, self._pixels, self._overlays(), near, strict=True
            )
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
            why_not=why_not,
        )

    def _likely(self, probabilities: np.ndarray) -> tuple[tuple[str, float], ...]:
        best = np.argsort(-probabilities, kind="stable")[:CLASSES_SHOWN]
        return tuple((self._predictor.classes[index], float(probabilities[index])) for index in best)

    def _overlays(self) -> list[bytes | None]:
        metadata = self._predictor.metadata
        network = plan(spec_of(metadata))
        if not has_maps(network):
            return [None] * len(self._pixels)
        attribution = Attribution(
            network=network,
            prefix=self._predictor.prefix,
            head=self._predictor.head,
            arch=metadata["arch"],
            transform=metadata["transform"],
            precision=self._predictor.precision,
        )
        answered = np.array([int(found.argmax()) for _, found in self._answers])
        maps = attribution.maps(np.stack(self._pixels), answered)
        return [overlay_jpeg(*pair, SIDE) for pair in zip(self._pixels, maps, strict=True)]

    def _nearest(self) -> tuple[list[tuple[Nearest, ...]], str]:
        """The training images most like each picture, and if there are none, the reason."""
        if reason := _unusable(self._predictor.metadata):
            return [()] * len(self._pixels), reason
        table = load_table(paths.IMAGE_TABLE, ["path", "label", "split"])
        train = rows_of(table, "train", tuple(sorted(table["label"].unique()))).indices
        space = Space.of(Features(paths.FEATURES), train, SEED)
        found = most_similar(space, space.vectors_of(np.stack(self._features)), train, NEAREST)
        packed = PackedImages(paths.IMAGES)
        return [
            tuple(_near(table, packed, int(row), float(alike)) for row, alike in zip(*pair, strict=True))
            for pair in zip(found.rows, found.similarities, strict=True)
        ], ""


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
