"""Section `serve` of params.yaml."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from headstart.ground.settings import Count, Positive, Section, Share


class Serve(Section):
    keep: Share = 0.0
    """share of requests that are kept, drawn at random; 0: none"""
    keep_images: bool = True
    """whether image files are kept; false: their digests alone"""
    keep_days: Count = 30
    """age in days at which kept answers are removed"""
    keep_gb: Positive = 5.0
    """size of all that is kept, in 10^9 bytes, beyond which the oldest answers are removed"""
    folder: Annotated[str, Field(min_length=1)] = "kept"
    """folder of kept answers, from the project's root"""

    @property
    def place(self) -> Path:
        """The folder; for a worker in a clone of its own, HEADSTART_PROJECT names the project's root."""
        return Path(os.environ.get("HEADSTART_PROJECT", "")) / self.folder
