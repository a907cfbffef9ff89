"""Forward passes over the images of several requests at once."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import REQUEST_LIMIT_EXCEEDED

Forward = Callable[[np.ndarray], np.ndarray]


class _Piece(NamedTuple):
    """Images of one request, uint8 [n, H, W, 3], and their probabilities once they are known."""

    pixels: np.ndarray
    given_up: threading.Event
    found: "Future[np.ndarray]"


class Batches:
    """A thread that runs a network on the images that wait, whoever sent them.

    A pass begins with `max_batch` images, or once the first has waited for `max_delay` seconds. Images of
    requests that were given up are left out.

    Args:
        forward: maps uint8 [N, H, W, 3] to float64 [N, C].
        observe: called with the images of each pass.
    """

    def __init__(
        self, forward: Forward, max_batch: int, max_delay: float, observe: Callable[[int], object]
    ) -> None:
        self._forward, self._observe = forward, observe
        self._most, self._delay = max_batch, max_delay
        self._waiting: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether images are still worked on."""
        return self._thread.is_alive()

    def run(self, pixels: np.ndarray, given_up: threading.Event) -> np.ndarray:
        """Probabilities of images uint8 [n, H, W, 3]: float64 [n, C]; waits for their passes.

        Raises:
            MlflowException: the request was given up.
        """
        pieces = [
            _Piece(pixels[start : start + self._most], given_up, Future())
            for start in range(0, len(pixels), self._most)
        ]
        for piece in pieces:
            self._waiting.put(piece)
        return np.concatenate([piece.found.result() for piece in pieces])

    def close(self) -> None:
        """End the thread, after the images that wait."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        left: _Piece | None = None
        while (first := left or self._waiting.get()) is not None:
            batch, left = self._gathered(first)
            self._answer([piece for piece in batch if not _is_given_up(piece)])

    def _gathered(self, first: _Piece) -> tuple[list[_Piece], _Piece | None]:
        """The pieces of the next pass, and one that is too large for it."""
        batch, images, end = [first], len(first.pixels), time.monotonic() + self._delay
        while images < self._most:
            try:
                piece = self._waiting.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if piece is None:
                self._waiting.put(None)  # for the loop, which ends after this pass
                break
            if images + len(piece.pixels) > self._most:
                return batch, piece
            batch.append(piece)
            images += len(piece.pixels)
        return batch, None

    def _answer(self, batch: list[_Piece]) -> None:
        if not batch:
            return
        ends = np.cumsum([len(piece.pixels) for piece in batch])
        try:
            rows = self._forward(np.concatenate([piece.pixels for piece in batch]))
            found = np.split(rows, ends[:-1])
            self._observe(len(rows))
        except Exception as error:  # each request that waits gets it
            for piece in batch:
                piece.found.set_exception(error)
            return
        for piece, own in zip(batch, found, strict=True):
            piece.found.set_result(own)


def _is_given_up(piece: _Piece) -> bool:
    if is_given_up := piece.given_up.is_set():
        piece.found.set_exception(MlflowException("the request was given up", REQUEST_LIMIT_EXCEEDED))
    return is_given_up
