"""Freed memory goes back to the system; glibc would keep it, apart for each of many threads."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 30.0


@contextmanager
def given_back(seconds: float = SECONDS) -> Iterator[None]:
    """Give memory back every so many seconds while the block runs; other C libraries keep little."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        yield
        return
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            trim(0)

    thread = threading.Thread(target=run, name="freed memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
