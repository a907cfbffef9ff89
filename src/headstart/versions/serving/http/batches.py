"""Forward passes over the images of several requests at once."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
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
    """Threads that run a network on the images that wait, whoever sent them.

    A pass begins with `max_batch` images, or once no other request is being read, or once the first image has
    waited for `max_delay` seconds. Images of requests that were given up are left out.

    Args:
        forward: maps uint8 [N, H, W, 3] to float64 [N, C].
        passes: at once.
        observe: called with the images of each pass.
    """

    def __init__(
        self,
        forward: Forward,
        max_batch: int,
        max_delay: float,
        passes: int,
        observe: Callable[[int], object],
    ) -> None:
        self._forward, self._observe = forward, observe
        self._most, self._delay = max_batch, max_delay
        self._waiting: deque[_Piece] = deque()
        self._read: set[int] = set()  # threads whose request has no images here yet
        self._changed = threading.Condition()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._run, name="batches", daemon=True) for _ in range(passes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether images are still worked on."""
        return all(thread.is_alive() for thread in self._threads)

    @contextmanager
    def expected(self) -> Iterator[None]:
        """While this thread reads images that it will `run`: a pass waits for them a little."""
        with self._changed:
            self._read.add(threading.get_ident())
        try:
            yield
        finally:
            with self._changed:
                self._arrived()

    def run(self, pixels: np.ndarray, given_up: threading.Event) -> np.ndarray:
        """Probabilities of images uint8 [n, H, W, 3]: float64 [n, C]; waits for their passes.

        Raises:
            MlflowException: the request was given up.
        """
        pieces = [
            _Piece(pixels[start : start + self._most], given_up, Future())
            for start in range(0, len(pixels), self._most)
        ]
        with self._changed:
            self._waiting.extend(pieces)
            self._arrived()
        return np.concatenate([piece.found.result() for piece in pieces])

    def close(self) -> None:
        """End the threads, after the images that wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _arrived(self) -> None:
        self._read.discard(threading.get_ident())
        self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._gathered():
            self._answer([piece for piece in batch if not _is_given_up(piece)])

    def _gathered(self) -> list[_Piece]:
        """The pieces of the next pass; none once all is done."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                end = time.monotonic() + self._delay
                while self._is_worth_waiting() and (left := end - time.monotonic()) > 0:
                    self._changed.wait(left)
                if self._waiting or self._is_closed:  # else another thread took them
                    return self._taken()

    def _is_worth_waiting(self) -> bool:
        images = sum(len(piece.pixels) for piece in self._waiting)
        return 0 < images < self._most and bool(self._read) and not self._is_closed

    def _taken(self) -> list[_Piece]:
        batch: list[_Piece] = []
        images = 0
        while self._waiting and images + len(self._waiting[0].pixels) <= self._most:
            batch.append(self._waiting.popleft())
            images += len(batch[-1].pixels)
        return batch

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
