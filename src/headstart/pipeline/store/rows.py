"""Content-addressed rows: the interface of a store, the recipe of a row, and the check of stored rows."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from headstart.errors import DeterminismError
from headstart.ground.import_closure import closure_digest


class RowStore(Protocol):
    """Rows by recipe and hexadecimal key; `store.Store` keeps them on disk.

    `get` may lack rows that `has` reported, because it finds only when it reads them that they are damaged.
    """

    def get(self, recipe: str, keys: Sequence[str]) -> list[bytes | None]: ...
    def has(self, recipe: str, keys: Sequence[str]) -> list[bool]: ...
    def put(self, recipe: str, rows: Mapping[str, bytes], drops: bool = True) -> None: ...


def recipe_digest(recipe: Mapping[str, object], module: str) -> str:
    """SHA-256 of everything that determines a row: named values, and the code of the module computing it."""
    named = {"recipe": recipe, "code": closure_digest(module)}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def check_again(
    what: str,
    keys: Sequence[str],
    stored: Sequence[bytes | None],
    compute: Callable[[], Mapping[str, bytes]],
) -> None:
    """Recompute stored rows, and stop if they differ.

    Args:
        stored: the row of each key; None if it proved damaged, so that it is computed again anyway.
        compute: returns the rows by key.

    Raises:
        DeterminismError: the machine or a library does not match the recipe.
    """
    new = compute()
    for key, old in zip(keys, stored, strict=True):
        if old is not None and old != new[key]:
            raise DeterminismError(
                f"{what}: image {key[:12]}, recomputed, differs from its stored row; delete the store "
                "(HEADSTART_CACHE) and run again; if this recurs, this machine's results are not reproducible"
            )
