"""The report on a model as one HTML page: no network, no scripts, always the same bytes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from headstart.pipeline.evaluation.metrics import METHODS, Interval, Metrics
from headstart.pipeline.pages.html import render

PACKAGE = "headstart.pipeline.evaluation"
TEMPLATE = "report.html.j2"
NAMED = 4  # classes in the title
GAP = 0.05  # between training and test images: less is not worth a remark
MISTAKES_SHOWN = 24
EXCLUDED_SHOWN = 200
WIDE = 900  # pixels; a wider plot gets a row to itself


@dataclass(frozen=True)
class Figure:
    """A plot and the section in which it is shown, below earlier ones."""

    title: str
    caption: str
    png: bytes
    section: Literal["results", "training", "data"] = "results"


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, which a module of its own makes by `pages.html.fragment`."""

    title: str
    html: Markup


@dataclass(frozen=True)
class Nearest:
    """A training image like another image; `similarity` is the cosine of their features, in [-1, 1]."""

    path: str
    label: str
    similarity: float
    thumbnail_jpeg: bytes


@dataclass(frozen=True)
class Mistake:
    """A misclassified image of the test split; `confidence` is in [0, 1].

    Attributes:
        overlay_jpeg: the picture with the evidence for the predicted class over it.
        nearest: the training images most like it, the most similar first.
    """

    path: str
    label: str
    predicted: str
    confidence: float
    thumbnail_jpeg: bytes
    overlay_jpeg: bytes | None = None
    nearest: tuple[Nearest, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything the page shows.

    `banner`, if set, is shown above everything else; `excluded` holds pairs of path and reason;
    `counts` maps split to class to number of images; `links` holds pairs of text and address; `notes` are
    sentences below the headline figures, which say what to compare them with.
    """

    title: str
    banner: str | None
    facts: Sequence[tuple[str, str]]
    metrics: Metrics
    notes: Sequence[str]
    images: Sequence[Figure]
    sections: Sequence[Section]
    mistakes: Sequence[Mistake]
    excluded: Sequence[tuple[str, str]]
    counts: Mapping[str, Mapping[str, int]]
    links: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Tile:
    """One of the headline figures; `interval` is empty if there is none."""

    name: str
    value: str
    interval: str


def render_report(report: Report) -> str:
    """Render the page as text for a UTF-8 file; it shows only what is in `report`, no time and no host.

    It shows the 24 most confident mistakes and the first 200 excluded files.
    """
    return render(
        PACKAGE,
        TEMPLATE,
        {"share": _share, "decimal": _decimal},
        report=report,
        wide=WIDE,
        tiles=tiles(report.metrics),
        methods=[(title, METHODS[name]) for name, (title, _) in HEADLINES.items()],
        wrong=round(report.metrics.images * (1 - report.metrics.accuracy)),
        mistakes=sorted(report.mistakes, key=lambda it: (-it.confidence, it.path))[:MISTAKES_SHOWN],
        excluded=report.excluded[:EXCLUDED_SHOWN],
        rows=class_rows(report.counts),
        total=[sum(split.values()) for split in report.counts.values()],
    )


def title_of(classes: Sequence[str]) -> str:
    """The report's title, with the first four classes and the number of the others."""
    more = len(classes) - NAMED
    return "Headstart: " + " / ".join(classes[:NAMED]) + (f" and {more} more classes" if more > 0 else "")


def majority_note(commonest: str, share: float) -> str:
    """The sentence on the simplest baseline.

    Args:
        commonest: the class with most training images.
        share: of the test images, in [0, 1].
    """
    return f"Always answering “{commonest}” is right for {_share(share)} of these images."


def training_note(accuracy: float, test: float, interval: Interval) -> str:
    """The sentence on the training images.

    Args:
        accuracy: on them, during the epoch that was kept.
        test: on the test images.
        interval: of `test`.
    """
    said = f"During the epoch that was kept, {_share(accuracy)} of the training images were right"
    if accuracy <= interval.high or accuracy - test < GAP:
        return f"{said}."
    return (
        f"{said}, more than chance explains: the head knows them better than new images. More training "
        "images, train.weight_decay or fewer epochs may help."
    )


def in_turn(kinds: Sequence[tuple[object, ...]], count: int) -> list[int]:
    """Choose places so that every kind is shown: the first of each kind, then the second of each, in turn."""
    seen: Counter[tuple[object, ...]] = Counter()
    turns = []
    for place, kind in enumerate(kinds):
        turns.append((seen[kind], place))
        seen[kind] += 1
    return sorted(place for _, place in sorted(turns)[:count])


def tiles(metrics: Metrics) -> list[Tile]:
    """The headline figures, the most important first."""
    return [
        Tile(title, text(getattr(metrics, name)), _between(metrics.intervals.get(name), text))
        for name, (title, text) in HEADLINES.items()
    ]


def class_rows(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, list[int]]]:
    """Each class with its number of images in every split, in order of first appearance."""
    classes = dict.fromkeys(name for split in counts.values() for name in split)
    return [(name, [split.get(name, 0) for split in counts.values()]) for name in classes]


def _between(interval: Interval | None, text: Callable[[float | None], str]) -> str:
    return "" if interval is None else f"{text(interval.low)} to {text(interval.high)}"


def _share(value: float | None) -> str:
    """A share in [0, 1] as a percentage; 100% only if nothing is missing."""
    if value is None:
        return "n/a"
    percent = f"{value * 100:.1f}"
    if percent == "100.0" and value < 1:
        percent = "99.9"
    return f"{percent}%"


def _decimal(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


HEADLINES = {
    "accuracy": ("Accuracy", _share),
    "balanced_accuracy": ("Balanced accuracy", _share),
    "macro_f1": ("Macro F1", _decimal),
    "roc_auc": ("ROC AUC", _decimal),
    "log_loss": ("Log loss, nats", _decimal),
}
