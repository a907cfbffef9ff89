"""A bound on the pixels that a process holds decoded at once, whatever the number of its threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Pixels are taken in the order in which they were asked for, so a large picture is not overtaken.

    Args:
        pixels: as many are held at most; nobody may ask for more, nor for some while holding some.
    """

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels are free, and hold them until the block ends.

        Raises:
            ValueError: the budget never has so many.
        """
        if pixels > self._all:
            raise ValueError(f"{pixels} pixels are more than the budget of {self._all}")
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()
