"""The folder of caches on this machine: computed rows, checkpoints, fetched backbones."""

import os
from pathlib import Path


def default_folder() -> Path:
    """`HEADSTART_CACHE`, else `headstart` in the user's cache folder. It may be deleted at any time."""
    if named := os.environ.get("HEADSTART_CACHE"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "headstart"
