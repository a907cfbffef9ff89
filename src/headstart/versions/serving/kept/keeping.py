"""Keeping a share of a server's requests: drawn at random, and written by a thread of its own.

It never delays an answer: what finds no room in memory or on the disk is counted, and dropped.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.versions.serving.kept.capture import CURRENT, Capture, Room
from headstart.versions.serving.kept.store import GB, KeptStore
from headstart.versions.serving.settings import Serve

MEMORY = 128 << 20  # bytes of what waits to be written
PRUNE_SECONDS = 600.0
PRUNE_SHARE = 0.01  # of the size that may be kept: written since the last look at it
SAID_AGAIN = 3600.0  # seconds after which a cause is logged again
END_SECONDS = 5.0  # for what waits when the server ends
LOG = logging.getLogger("uvicorn.error")


class Keeping:
    """Writes drawn requests to a folder, in the thread that `running` starts.

    Args:
        counted: called with an outcome and how many images had it: `kept`, `without_image` (kept, but memory
            was full), `repeated` (the id is known), `dropped` (memory was full) or `failed`.

    Raises:
        HeadstartError: the folder cannot be used.
    """

    def __init__(self, settings: Serve, folder: Path, counted: Callable[[str, int], object]) -> None:
        self._settings, self._folder, self._counted = settings, folder, counted
        self._room = Room(MEMORY)
        self._said: dict[str, float] = {}  # when each text may be logged again
        self._waiting: queue.SimpleQueue[Capture | None] = queue.SimpleQueue()
        self._written, self._prune_at = 0, 0.0
        self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
        with KeptStore(folder, is_new=True):
            pass  # whatever is wrong with the folder is known before the first request

    @contextmanager
    def running(self) -> Iterator[None]:
        """The thread runs in the block; at its end, what waits is written for a few seconds at most."""
        self._thread.start()
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self._waiting.put(None)
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            LOG.warning("the server ends before all answers that were drawn are kept in %s", self._folder)

    @contextmanager
    def request(self, id_: str) -> Iterator[None]:
        """Keep what this thread answers in the block, if the request is drawn."""
        if random.random() >= self._settings.keep:
            yield
            return
        capture = Capture(id_, self._settings.keep_images, self._room)
        token = CURRENT.set(capture)
        try:
            yield
        except BaseException:
            capture.close()
            raise
        finally:
            CURRENT.reset(token)
        self._offer(capture)

    def _offer(self, capture: Capture) -> None:
        if capture.dropped:
            self._counted("dropped", capture.dropped)
            self._say("answers are not kept", "they come faster than they can be written")
        if capture.rows:
            self._waiting.put(capture)
        else:
            capture.close()

    def _run(self) -> None:
        while True:
            try:
                capture = self._waiting.get(timeout=max(0.0, self._prune_at - time.monotonic()))
            except queue.Empty:
                self._prune()
                continue
            if capture is None:
                return
            self._write(capture)
            is_due = time.monotonic() >= self._prune_at
            if is_due or self._written > PRUNE_SHARE * self._settings.keep_gb * GB:
                self._prune()

    def _write(self, capture: Capture) -> None:
        rows = len(capture.rows)
        try:
            with KeptStore(self._folder, is_new=True) as store:  # anew: the folder may have been moved
                new = store.add(capture.rows, capture.images)
        except Exception as error:  # whatever the disk does, the server answers
            self._counted("failed", rows)
            self._say("answers are not kept", error)
        else:
            self._written += sum(map(len, capture.images.values()))
            without = min(new, capture.left_out)
            for outcome, count in (
                ("kept", new - without),
                ("without_image", without),
                ("repeated", rows - new),
            ):
                self._counted(outcome, count)
        finally:
            capture.close()

    def _prune(self) -> None:
        self._written, self._prune_at = 0, time.monotonic() + PRUNE_SECONDS
        try:
            with KeptStore(self._folder, is_new=True) as store:
                store.prune(self._settings.keep_days, self._settings.keep_gb)
        except Exception as error:
            self._say("old answers are not removed", error)

    def _say(self, what: str, reason: object) -> None:
        """Log a cause, and again after an hour."""
        text, now = f"{what}: {reason}", time.monotonic()
        if now >= self._said.get(text, 0.0):
            LOG.warning("%s", text)
            self._said[text] = now + SAID_AGAIN
