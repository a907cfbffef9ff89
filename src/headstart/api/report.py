"""The report of an evaluation, as a notebook shows it."""

import html
from dataclasses import dataclass
from pathlib import Path

HEIGHT = 800  # pixels


@dataclass(frozen=True)
class Report:
    """The report on the test images. A notebook shows the page itself, in a frame of its own.

    Attributes:
        path: the page, which needs no other file.
    """

    path: Path

    def _repr_html_(self) -> str:
        """The page in a frame that can reach neither the notebook nor its cookies."""
        page = html.escape(self.path.read_text(encoding="utf-8"))
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-popups" title="Report" '
            f'style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        )
