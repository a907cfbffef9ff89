"""Wording that messages of all packages share."""

from collections.abc import Iterable


def named(names: Iterable[str], most: int = 10) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
