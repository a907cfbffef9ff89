"""The version that answers, and its exchange for another without a lost request."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PyFuncModel

from headstart.errors import ModelError
from headstart.versions.serving.answers import Answer
from headstart.versions.serving.http.batches import Batches
from headstart.versions.serving.http.metrics import Metrics
from headstart.versions.serving.http.settings import Settings
from headstart.versions.serving.kept.capture import CapturedModel
from headstart.versions.serving.opening import Opened
from headstart.versions.serving.path_access import PathAccess
from headstart.versions.serving.signature import signature

GREY = 128
TOLERANCE = 1e-6  # of the sum of probabilities


class LiveVersion:
    """A version with its thread of forward passes; each door asks it.

    Args:
        given_up: as in `Turns.given_up`.
    """

    def __init__(
        self, opened: Opened, settings: Settings, metrics: Metrics, given_up: Callable[[], threading.Event]
    ) -> None:
        self.name = opened.name
        self.version = opened.version
        self._most, self._batch, self._metrics = settings.max_images, settings.max_batch, metrics
        self._batches = Batches(
            opened.predictor.predict_pixels,
            settings.max_batch,
            settings.max_delay_ms / 1000,
            metrics.batches.observe,
        )
        self.served = CapturedModel()
        self.served.predictor = _Shared(opened.predictor, self._batches, given_up, metrics)
        self.served.version = opened.version
        self.served.access = PathAccess.from_environment()
        self.served.given_up = given_up
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
        rows = self.served.answers(items, read, self._batch)
        self._count(rows)
        return rows

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer a table as the version does in MLflow."""
        self._check_count(len(data))
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
    """A predictor whose forward passes are shared by all requests, and whose decoding is bounded."""

    def __init__(
        self, predictor: Any, batches: Batches, given_up: Callable[[], threading.Event], metrics: Metrics
    ) -> None:
        self._predictor, self._batches, self._given_up = predictor, batches, given_up
        self._sizes = metrics.sizes
        self._decoders = threading.Semaphore(max(2, os.cpu_count() or 1))
        self.classes, self.refusal = predictor.classes, predictor.refusal

    def pixels(self, image: bytes) -> np.ndarray:
        self._sizes.observe(len(image))
        with self._decoders:
            pixels: np.ndarray = self._predictor.pixels(image)
        return pixels

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return self._batches.run(pixels, self._given_up())


def probe(opened: Opened) -> None:
    """Let a model answer a grey picture before it answers clients.

    Raises:
        ModelError: its answer is not a probability per class.
    """
    predictor = opened.predictor
    side = predictor.transform.crop_size[0]
    [found] = predictor.predict_pixels(np.full((1, side, side, 3), GREY, np.uint8))
    if len(found) != len(predictor.classes) or not abs(float(found.sum()) - 1) < TOLERANCE:
        raise ModelError(
            f"{opened.name} answers a grey picture with {found.tolist()}, expected probabilities of "
            f"{len(predictor.classes)} classes; register another version"
        )


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
