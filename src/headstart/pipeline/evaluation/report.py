"""The report on a model: one HTML page, no network, one script named by its digest, always the same bytes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate

from markupsafe import Markup

from headstart.pipeline.evaluation.metrics import METHODS, Metrics
from headstart.pipeline.evaluation.verdict import Verdict
from headstart.pipeline.evaluation.wording import FILTERS, decimal, decimals, share, shares
from headstart.pipeline.explanation.similar import Nearest
from headstart.pipeline.pages.html import fragment, png_size, render, script_digest

PACKAGE = "headstart.pipeline.evaluation"
TEMPLATE = "report.html.j2"
SCRIPT = "report.js"
NAMED = 4  # classes in the title, at most
TITLE = 90  # characters of their names, at most, but for the first
WIDE = 900  # pixels; a wider plot gets a row to itself


@dataclass(frozen=True)
class Figure:
    """A plot, with a caption and a text for those who cannot see it; the caption serves if `alt` is empty."""

    title: str
    caption: str
    png: bytes
    alt: str = ""

    @property
    def is_wide(self) -> bool:
        """Whether it gets a row to itself."""
        return png_size(self.png)[0] > WIDE


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, which a module of its own makes by `pages.html.fragment`."""

    title: str
    html: Markup

    @property
    def id(self) -> str:
        """The name by which a link leads to the section: its title in small letters and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Mistake:
    """A misclassified image of the test split; `confidence` is in [0, 1].

    `overlay_jpeg` is the picture with a map of where the evidence lies, `nearest` the training images most
    like it, the nearest first; both are optional.
    """

    path: str
    label: str
    predicted: str
    confidence: float
    thumbnail_jpeg: bytes
    overlay_jpeg: bytes | None = None
    nearest: tuple[Nearest, ...] = ()


@dataclass(frozen=True)
class Place:
    """A page beside the report: `address` leads there from the file, `words` says where it is."""

    name: str
    address: str
    words: str


@dataclass(frozen=True)
class Report:
    """Everything the page shows.

    `banner`, if set, is shown above everything else; `notes` are sentences below the headline figures, which
    say what to compare them with.
    """

    title: str
    banner: str | None
    verdict: Verdict
    metrics: Metrics
    notes: Sequence[str]
    sections: Sequence[Section]
    places: Sequence[Place]


@dataclass(frozen=True)
class Tile:
    """One of the headline figures; `interval` is empty if there is none."""

    name: str
    value: str
    interval: str


def render_report(report: Report) -> str:
    """Render the page as text for a UTF-8 file; it shows only what is in `report`, no time and no host."""
    script = files(PACKAGE).joinpath(SCRIPT).read_text("utf-8")
    return render(
        PACKAGE,
        TEMPLATE,
        FILTERS,
        report=report,
        tiles=tiles(report.metrics),
        methods=[(title, METHODS[name]) for name, (title, *_) in HEADLINES.items()],
        script=Markup(script),
        digest=script_digest(script),
    )


def figures(*shown: Figure) -> Markup:
    """Render plots side by side, where the page is wide enough."""
    return fragment(PACKAGE, "figures.html.j2", {}, figures=shown)


def title_of(classes: Sequence[str]) -> str:
    """The report's title, with the first classes, four at most, and the number of the others."""
    lengths = accumulate(len(name) for name in classes[:NAMED])
    named = max(1, sum(length <= TITLE for length in lengths))
    more = len(classes) - named
    others = f" and {more} more class{'' if more == 1 else 'es'}" if more else ""
    return "Headstart: " + " / ".join(classes[:named]) + others


def tiles(metrics: Metrics) -> list[Tile]:
    """The headline figures, the most important first."""
    return [
        Tile(title, text(getattr(metrics, name)), between(metrics.intervals.get(name)))
        for name, (title, text, between) in HEADLINES.items()
    ]


HEADLINES = {
    "accuracy": ("Accuracy", share, shares),
    "balanced_accuracy": ("Balanced accuracy", share, shares),
    "macro_f1": ("Macro F1", decimal, decimals),
    "roc_auc": ("ROC AUC", decimal, decimals),
    "log_loss": ("Log loss, nats", decimal, decimals),
}
