"""Places for images that are read and decoded at one time: a file of a request may have 512 MiB."""

import os
import threading
from typing import Any

from headstart.versions.serving.http.items import Item
from headstart.versions.serving.path_access import is_remote

LOCAL = max(2, os.cpu_count() or 1)
REMOTE = 4  # images of other machines: a slow one must not hold those that are here


class Rooms:
    """Two semaphores, held from before an image is read until it is decoded."""

    def __init__(self) -> None:
        self._local, self._remote = threading.Semaphore(LOCAL), threading.Semaphore(REMOTE)

    def of(self, item: Any) -> threading.Semaphore:
        """The semaphore for an image: an `Item`, or the value of a table's row."""
        given = item.given if isinstance(item, Item) else item
        named = given.get("path") if isinstance(given, dict) else given
        return self._remote if isinstance(named, str) and is_remote(named) else self._local
