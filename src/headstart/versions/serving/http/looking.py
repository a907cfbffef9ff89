"""The evidence for a version's answers, found for one picture at a time."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.errors import HeadstartError
from headstart.pipeline.explanation.attribution import Attribution
from headstart.pipeline.explanation.overlay import overlay_jpeg
from headstart.pipeline.explanation.similar import Nearest
from headstart.pipeline.pages.html import thumbnail_jpeg
from headstart.versions.serving.evidence import TrainingImages, attribution_of, unusable
from headstart.versions.serving.opening import Opened

LOG = logging.getLogger("uvicorn.error")
SIDE = 448  # pixels at most; pictures are not enlarged
NEAREST = 6
NO_MAPS = "no convolution of this network has an output that is a map"
NO_PROJECT = "the server runs outside of a project"
OPEN = "the server answers anyone (--open), and training images are not for anyone"
UNREADABLE = "the project's training images cannot be read; the server's log has the reason"
CHANGED = "the project's data changed after the server opened this version; start it again"


class Evidence(NamedTuple):
    """A picture, and what speaks for its answer.

    Attributes:
        picture: as the network reads it, JPEG; None if it cannot be read.
        overlay: the same with the evidence for the most probable class, JPEG; None for a reason.
        why_no_overlay: that reason.
        why_no_nearest: the reason why no training image is shown; None if some are.
    """

    picture: bytes | None
    overlay: bytes | None
    why_no_overlay: str | None
    nearest: tuple[Nearest, ...]
    why_no_nearest: str | None


NOTHING = Evidence(None, None, None, (), None)  # of an image that cannot be read


class Looking:
    """Finds the evidence of one version, a picture at a time.

    Args:
        root: of the project whose training images are searched; None outside of one.
        is_open: whether anyone may ask: then no training image is shown.
    """

    def __init__(self, opened: Opened, root: Path | None, is_open: bool) -> None:
        self._predictor, self._root, self._is_open = opened.predictor, root, is_open

    def look(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], Evidence]:
        """Probabilities of a packed picture uint8 [H, W, 3], float64 [C], and the evidence for them."""
        features = self._predictor.features(pixels[None])
        probabilities = self._predictor.predict_features(features)
        overlay = None
        if self._attribution is not None:
            [evidence] = self._attribution.maps(pixels[None], probabilities.argmax(1))
            overlay = overlay_jpeg(pixels, evidence, SIDE)
        nearest, why_not = self._nearest(features.cpu().numpy())
        picture = thumbnail_jpeg(pixels, SIDE)
        found = Evidence(picture, overlay, None if overlay else NO_MAPS, nearest, why_not)
        return probabilities[0], found

    def _nearest(self, features: NDArray[np.float32]) -> tuple[tuple[Nearest, ...], str | None]:
        if why_not := self._why_no_nearest():
            return (), why_not
        images = self._training_images
        try:
            [found] = images.nearest(images.vectors_of(features), NEAREST)
        except (HeadstartError, OSError) as error:
            LOG.warning("the training images cannot be searched: %s", error)
            return (), CHANGED if images.has_changed else UNREADABLE
        return ((), CHANGED) if images.has_changed else (found, None)

    def _why_no_nearest(self) -> str:
        if self._root is None:
            return NO_PROJECT
        if self._is_open:
            return OPEN
        return self._unusable or (CHANGED if self._training_images.has_changed else "")

    @cached_property
    def _unusable(self) -> str:
        assert self._root is not None
        try:
            return unusable(self._predictor.metadata, self._root)
        except HeadstartError as error:
            LOG.warning("the training images cannot be searched: %s", error)
            return UNREADABLE

    @cached_property
    def _training_images(self) -> TrainingImages:
        assert self._root is not None
        return TrainingImages(self._root, is_held=True)

    @cached_property
    def _attribution(self) -> Attribution | None:
        return attribution_of(self._predictor)


class Look:
    """A predictor for one image, as `ServedModel` asks it; it remembers the evidence for the answer.

    Args:
        model: decodes the image, and words a refusal.
    """

    def __init__(self, model: Any, looking: Looking) -> None:
        self._looking = looking
        self.pixels, self.classes, self.refusal = model.pixels, model.classes, model.refusal
        self.evidence: Evidence | None = None

    def predict_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Map a packed image uint8 [1, H, W, 3] to probabilities float64 [1, C]."""
        probabilities, self.evidence = self._looking.look(pixels[0])
        return probabilities[None]
