"""Progress bars for long-running work, on standard error."""

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int, what: str, unit: str = "image") -> "tqdm[Any]":
    """A bar for `total` units of work; a context manager whose `update` takes the number of units done.

    If standard error is not a terminal (a flow, CI), the bar is redrawn less often.
    """
    interval = 0.2 if sys.stderr.isatty() else 2.0
    return tqdm(total=total, desc=what, unit=unit, mininterval=interval, dynamic_ncols=True)
