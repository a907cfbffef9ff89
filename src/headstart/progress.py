"""Progress bars for long-running work, on standard error."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

FOLLOWED = "HEADSTART_FOLLOWED"  # set by a program that reads the lines of `report_epoch`
EPOCH_MARK = "@epoch "


def bar(total: int, what: str, unit: str = "image") -> "tqdm[Any]":
    """A bar for `total` units of work; a context manager whose `update` takes the number of units done.

    If standard error is not a terminal (a flow, CI), the bar is redrawn less often.
    """
    interval = 0.2 if sys.stderr.isatty() else 2.0
    return tqdm(total=total, desc=what, unit=unit, mininterval=interval, dynamic_ncols=True)


def report_epoch(progress: "tqdm[Any]", values: Mapping[str, object]) -> None:
    """Print an epoch as a line of JSON for the program that runs this stage; nothing if none follows it."""
    if os.environ.get(FOLLOWED):
        progress.write(f"{EPOCH_MARK}{json.dumps(dict(values))}", file=sys.stdout)
