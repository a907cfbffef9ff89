"""Predictions for image files, in batches with bounded memory; an unreadable file does not stop the rest."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from headstart.errors import DataError
from headstart.pipeline.data.reading import read_file

BATCH = 16
WORKERS = 4

Item = TypeVar("Item")
Picture = TypeVar("Picture")
Taken = TypeVar("Taken", contravariant=True)


class Model(Protocol[Taken]):
    """Turns a picture into pixels uint8 [H, W, 3], and packed pixels [n, H, W, 3] into rows [n, C]."""

    def pixels(self, image: Taken) -> np.ndarray: ...

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray: ...


def score(files: Sequence[Path], model: Model[bytes]) -> Iterator[tuple[Path, np.ndarray | DataError]]:
    """Yield the scores of each file, or the error that prevented them, in order; see `score_items`."""
    return score_items(files, read_file, model)


def score_items(
    items: Sequence[Item],
    read: Callable[[Item], Picture],
    model: Model[Picture],
    batch: int = BATCH,
    room: Callable[[Item], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> Generator[tuple[Item, np.ndarray | DataError]]:
    """Yield the scores of each item, or the error that prevented them, in the order given.

    The next batch is read and decoded while the network runs the current one. Closing the iterator leaves
    out what has not begun.

    Args:
        read: returns an item's picture as the model takes it; may raise DataError or OSError.
        room: returns what is entered before an item is read, and left once it is decoded.
    """

    def pixels_of(item: Item) -> np.ndarray | DataError:
        try:
            with room(item):
                return model.pixels(read(item))
        except DataError as error:
            return error
        except OSError as error:
            return DataError(error.strerror or str(error))

    if len(items) == 1:  # as in most requests: threads would cost more than they save
        found = pixels_of(items[0])
        yield items[0], found if isinstance(found, DataError) else model.predict_pixels(np.stack([found]))[0]
        return
    pool = ThreadPoolExecutor(WORKERS)

    def start_reading(start: int) -> list[Future[np.ndarray | DataError]]:
        return [pool.submit(pixels_of, item) for item in items[start : start + batch]]

    try:
        ahead = start_reading(0)
        for start in range(0, len(items), batch):
            read_ones = [future.result() for future in ahead]
            ahead = start_reading(start + batch)
            good = [pixels for pixels in read_ones if isinstance(pixels, np.ndarray)]
            rows = iter(model.predict_pixels(np.stack(good))) if good else iter(())
            for item, pixels in zip(items[start : start + batch], read_ones, strict=True):
                yield item, next(rows) if isinstance(pixels, np.ndarray) else pixels
    finally:
        pool.shutdown(cancel_futures=True)
