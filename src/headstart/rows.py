"""Computed rows by content: what a store of them does, their recipe, and the check that it holds."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from headstart.errors import DeterminismError


class RowStore(Protocol):
    """Remembers rows by recipe and hexadecimal key; `store.Store` is one that lasts."""

    def get(self, recipe: str, keys: Sequence[str]) -> list[bytes | None]: ...
    def has(self, recipe: str, keys: Sequence[str]) -> list[bool]: ...
    def put(self, recipe: str, rows: Mapping[str, bytes]) -> None: ...


def recipe_digest(recipe: Mapping[str, object], sources: Iterable[Path]) -> str:
    """SHA-256 of all that makes a row: named values, and the source files that compute it."""
    sha = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for source in sources:
        sha.update(source.name.encode())
        sha.update(hashlib.sha256(source.read_bytes()).digest())
    return sha.hexdigest()


def check_again(
    what: str, keys: Sequence[str], stored: Sequence[bytes], compute: Callable[[], Sequence[bytes]]
) -> None:
    """Recompute rows that are stored already, and stop when they differ.

    Raises:
        DeterminismError: the machine, a library or the store itself is not what the recipe says.
    """
    for key, old, new in zip(keys, stored, compute(), strict=True):
        if old != new:
            raise DeterminismError(
                f"{what}: image {key[:12]} computed again is not what the store holds; delete the store "
                "(HEADSTART_CACHE) and run again; if it returns, this machine does not compute alike twice"
            )
