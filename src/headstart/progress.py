"""Progress bars of long work, on standard error."""

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int, what: str, unit: str = "image") -> "tqdm[Any]":
    """A bar for `total` units of work; a context manager whose `update` takes what was done.

    Where standard error is no terminal (a flow, CI) it is redrawn rarely.
    """
    interval = 0.2 if sys.stderr.isatty() else 2.0
    return tqdm(total=total, desc=what, unit=unit, mininterval=interval, dynamic_ncols=True)
