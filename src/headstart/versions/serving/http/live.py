"""The version that answers, and its exchange for another without a lost request."""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PyFuncModel

from headstart.errors import ModelError
from headstart.ground import runtime
from headstart.versions.serving.answers import Answer
from headstart.versions.serving.http.batches import Batches
from headstart.versions.serving.http.card import Card
from headstart.versions.serving.http.looking import Evidence, Look, Looking
from headstart.versions.serving.http.metrics import Metrics
from headstart.versions.serving.http.rooms import Rooms
from headstart.versions.serving.http.settings import Settings
from headstart.versions.serving.kept.capture import CapturedModel
from headstart.versions.serving.opening import Opened
from headstart.versions.serving.path_access import PathAccess
from headstart.versions.serving.protocol import as_fault
from headstart.versions.serving.signature import signature

GREY = 128
TOLERANCE = 1e-6  # of the sum of probabilities
ROOMS = Rooms()  # of this process: while versions change, two of them decode


class PageParts(NamedTuple):
    """A version's card, and the search for the evidence of its answers."""

    card: Card
    looking: Looking


class LiveVersion:
    """A version with its thread of forward passes; each door asks it.

    Args:
        given_up: as in `Turns.given_up`.
        page: what the page shows about the version.
    """

    def __init__(
        self,
        opened: Opened,
        settings: Settings,
        metrics: Metrics,
        given_up: Callable[[], threading.Event],
        page: PageParts,
    ) -> None:
        self.name = opened.name
        self.card, self._looking = page
        self.version = opened.version
        self._most, self._batch, self._metrics = settings.max_images, settings.max_batch, metrics
        self._batches = Batches(
            opened.predictor.predict_pixels,
            settings.max_batch,
            settings.max_delay_ms / 1000,
            settings.passes or runtime.passes_at_once(),
            metrics.batches.observe,
        )
        self.served = CapturedModel()
        self.served.predictor = _Shared(opened.predictor, self._batches, given_up, metrics)
        self.served.version = opened.version
        self.served.access = PathAccess.from_environment()
        self.served.given_up, self.served.room = given_up, ROOMS.of
        self.as_pyfunc = PyFuncModel(Model(signature=signature()), self)

    @property
    def is_alive(self) -> bool:
        return self._batches.is_alive

    def answers(self, items: Sequence[Any], read: Callable[[Any], bytes]) -> list[Answer]:
        """One answer per item; see `ServedModel.answers`.

        Raises:
            MlflowException: there are too many, or the request was given up.
        """
        self._check_count(len(items))
        with self._batches.expected():
            rows = self.served.answers(items, read, self._batch)
        self._count(rows)
        return rows

    def explain(
        self, item: Any, read: Callable[[Any], bytes], given_up: Callable[[], threading.Event]
    ) -> tuple[Answer, Evidence | None]:
        """The answer for one item, and the evidence for it; None if the image cannot be read.

        One thread at a time asks for it.

        Args:
            given_up: as in `Turns.given_up`.

        Raises:
            MlflowException: the request was given up.
        """
        served = copy.copy(self.served)
        served.predictor = look = Look(self.served.predictor, self._looking)
        served.given_up = given_up
        rows = served.answers([item], read, 1)
        self._count(rows)
        return rows[0], look.evidence

    @as_fault
    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer a table as the version does in MLflow."""
        self._check_count(len(data))
        with self._batches.expected():
            table = self.served.predict(None, data, params)
        self._count(table.itertuples(index=False, name=None))
        return table

    def close(self) -> None:
        """End its thread once nobody asks it any more, and free its network."""
        self._batches.close()
        del self.as_pyfunc  # it refers to this object, so that both would stay

    def _check_count(self, images: int) -> None:
        if images > self._most:
            text = f"the request has {images} images, expected at most {self._most}; send it in parts"
            raise MlflowException(text, INVALID_PARAMETER_VALUE)

    def _count(self, rows: Any) -> None:
        for row in rows:
            self._metrics.answered(row)


class _Shared:
    """A predictor whose forward passes are shared by all requests."""

    def __init__(
        self, predictor: Any, batches: Batches, given_up: Callable[[], threading.Event], metrics: Metrics
    ) -> None:
        self._predictor, self._batches, self._given_up = predictor, batches, given_up
        self._sizes = metrics.sizes
        self.classes, self.refusal = predictor.classes, predictor.refusal

    def pixels(self, image: bytes) -> np.ndarray:
        self._sizes.observe(len(image))
        pixels: np.ndarray = self._predictor.pixels(image)
        return pixels

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return self._batches.run(pixels, self._given_up())


def probe(opened: Opened, most: int) -> None:
    """Let a model answer one grey picture, and a full pass of them, before it answers clients.

    Args:
        most: images per forward pass.

    Raises:
        ModelError: an answer is not a probability per class.
    """
    predictor = opened.predictor
    side, classes = predictor.transform.crop_size[0], len(predictor.classes)
    for images in sorted({1, most}):
        found = predictor.predict_pixels(np.full((images, side, side, 3), GREY, np.uint8))
        if found.shape != (images, classes) or not (np.abs(found.sum(1) - 1) < TOLERANCE).all():
            raise ModelError(
                f"{opened.name} answers {images} grey pictures with {_brief(found)}, expected probabilities "
                f"of {classes} classes for each; register another version"
            )


def _brief(found: np.ndarray) -> str:
    return f"an array {list(found.shape)} that begins with {found[:1].tolist()}"


class Live:
    """The version that answers; requests that began with the one before end with it."""

    def __init__(self, first: LiveVersion, metrics: Metrics) -> None:
        self._lock = threading.Lock()
        self._current = first
        self._users = {first: 0}
        self._metrics = metrics
        metrics.serves(first.version)

    @property
    def current(self) -> LiveVersion:
        return self._current

    @contextmanager
    def version(self) -> Iterator[LiveVersion]:
        """The version for one request, which lasts until the block ends."""
        with self._lock:
            used = self._current
            self._users[used] += 1
        try:
            yield used
        finally:
            self._leave(used)

    def swap(self, new: LiveVersion) -> None:
        """Answer with another version from now on; the one before ends after its last request."""
        with self._lock:
            before, self._current = self._current, new
            self._users[new] = 0
            self._users[before] += 1
        self._metrics.serves(new.version)
        self._leave(before)

    def _leave(self, used: LiveVersion) -> None:
        with self._lock:
            self._users[used] -= 1
            is_over = used is not self._current and self._users[used] == 0
            if is_over:
                del self._users[used]
        if is_over:
            used.close()
