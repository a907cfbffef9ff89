"""The page of `headstart predict --explain`: what a model answers for pictures, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from headstart.errors import DataError, HeadstartError
from headstart.pipeline.data.reading import shown
from headstart.pipeline.explanation.attribution import Attribution
from headstart.pipeline.explanation.overlay import overlay_jpeg
from headstart.pipeline.explanation.similar import Nearest
from headstart.pipeline.pages.html import render, thumbnail_jpeg
from headstart.versions.serving.evidence import TrainingImages, attribution_of, unusable
from headstart.versions.serving.predictor import Predictor
from headstart.versions.serving.scoring import score

SHOWN = 200  # pictures on a page
CLASSES_SHOWN = 5
NEAREST = 3
SIDE = 200  # pixels


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
        self._why_not = unusable(predictor.metadata)
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
        vectors = [None] * len(pixels) if self._why_not else self._training_images.vectors_of(features)
        self._kept += [
            _Kept(own, thumbnail_jpeg(image, SIDE), overlay, vector)
            for own, image, overlay, vector in zip(probabilities, pixels, overlays, vectors, strict=True)
        ]

    def _likely(self, probabilities: np.ndarray) -> tuple[tuple[str, float], ...]:
        best = np.argsort(-probabilities, kind="stable")[:CLASSES_SHOWN]
        return tuple((self._predictor.classes[index], float(probabilities[index])) for index in best)

    @cached_property
    def _attribution(self) -> Attribution | None:
        return attribution_of(self._predictor)

    @cached_property
    def _training_images(self) -> TrainingImages:
        return TrainingImages()

    def _nearest(self) -> list[tuple[Nearest, ...]]:
        """The training images most like each picture; none if there is a reason why not."""
        vectors = [kept.vector for kept in self._kept if kept.vector is not None]
        if not vectors:
            return [()] * len(self._kept)
        try:
            return self._training_images.nearest(np.stack(vectors), NEAREST)
        except HeadstartError as error:
            self._why_not = str(error)
            return [()] * len(self._kept)
