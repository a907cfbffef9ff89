"""One request that was drawn to be kept: the image files that it read, and its answers."""

import copy
import hashlib
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from headstart.versions.serving.answers import Answer
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.served_model import ServedModel

ROW_BYTES, CLASS_BYTES = 500, 80  # of a row in memory, about


class Room:
    """Memory for what waits to be written."""

    def __init__(self, total: int) -> None:
        self._lock, self._left = threading.Lock(), total

    def take(self, size: int) -> bool:
        """Whether there was room for as many bytes, which are taken then."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class Capture:
    """Collects image files and answers of a request; several threads may read its images.

    Args:
        with_images: whether files are held, besides their digests.
    """

    def __init__(self, request: str, with_images: bool, room: Room) -> None:
        self._request, self._with_images, self._room = request, with_images, room
        self._lock, self._taken = threading.Lock(), 0
        self._digests: dict[int, str] = {}
        self.rows: list[Kept] = []
        self.images: dict[str, bytes] = {}
        self.left_out = 0  # files that found no room
        self.dropped = 0  # answers that found none

    def note(self, index: int, data: bytes) -> None:
        """Hold the file of the image with this index."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._digests[index] = sha256
            if not self._with_images or sha256 in self.images:
                return
            if self._take(len(data)):
                self.images[sha256] = data
            else:
                self.left_out += 1

    def answered(self, names: Sequence[str | None], answers: Sequence[Answer]) -> None:
        """Hold the answers, all or none."""
        classes = max((len(found or {}) for _, found, _, _ in answers), default=0)
        if not self._take(len(answers) * (ROW_BYTES + CLASS_BYTES * classes)):
            self.dropped = len(answers)
            return
        now = datetime.now(UTC)
        self.rows += [
            Kept(
                id=f"{self._request}:{index}",
                time=now,
                name=name,
                model_version=version,
                label=label,
                probabilities=probabilities,
                error=error,
                sha256=self._digests.get(index),
            )
            for index, (name, (label, probabilities, version, error)) in enumerate(
                zip(names, answers, strict=True)
            )
        ]

    def close(self) -> None:
        """Give back the room that it took."""
        self.images.clear()
        self._room.give_back(self._taken)
        self._taken = 0

    def _take(self, size: int) -> bool:
        has_room = self._room.take(size)
        self._taken += size * has_room
        return has_room


CURRENT: ContextVar[Capture | None] = ContextVar("CURRENT", default=None)  # of this thread's request


class CapturedModel(ServedModel):
    """A served model whose images and answers the capture of this thread's request collects."""

    def answers(self, items: Sequence[Any], read: Callable[[Any], bytes], batch: int) -> list[Answer]:
        """One answer per item; see `ServedModel.answers`."""
        capture = CURRENT.get()
        if capture is None:
            return super().answers(items, read, batch)

        def read_and_note(numbered: tuple[int, Any]) -> bytes:
            index, item = numbered
            data = read(item)
            capture.note(index, data)
            return data

        numbered = copy.copy(self)
        numbered.room = lambda pair: self.room(pair[1])
        rows = ServedModel.answers(numbered, list(enumerate(items)), read_and_note, batch)
        are_paths = read == self.read_path
        capture.answered([_name_of(item, are_paths) for item in items], rows)
        return rows


def _name_of(item: Any, is_path: bool) -> str | None:
    """The name that the client gave an image: an item's own, or its path."""
    name = item if is_path else getattr(item, "name", None)
    return name if isinstance(name, str) else None
