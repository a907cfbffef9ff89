"""Section "Classes": the figures of each class, the worst first."""

from dataclasses import dataclass

import numpy as np

from headstart.pipeline.evaluation.intervals import Interval, of_share
from headstart.pipeline.evaluation.metrics import ClassMetrics, confusion_matrix
from headstart.pipeline.evaluation.report import Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.wording import FILTERS
from headstart.pipeline.pages.html import fragment

OPEN = 30  # classes; more are in a box that scrolls


@dataclass(frozen=True)
class ClassRow:
    """A class; `interval` is that of its recall, None without test images."""

    number: int
    name: str
    right: int
    values: ClassMetrics
    interval: Interval | None


def section(results: Results) -> Section:
    """Make the section."""
    values = {
        "rows": rows(results),
        "confidence": results.metrics.confidence,
        "groups": results.metrics.groups,
        "open": OPEN,
    }
    package = "headstart.pipeline.evaluation.sections"
    return Section("Classes", fragment(package, "classes.html.j2", FILTERS, **values))


def rows(results: Results) -> list[ClassRow]:
    """The classes by recall, the lowest first, and those without test images at the end.

    The interval is Wilson's; where images have groups, of as many images as would be independent.
    """
    right = np.diagonal(confusion_matrix(results.labels, results.predicted, len(results.classes)))
    groups = results.groups
    found = []
    for number, (name, values) in enumerate(results.metrics.per_class.items()):
        own = np.flatnonzero(results.labels == number)
        of_own = None if groups is None else [groups[place] for place in own]
        found_of = results.predicted[own] == number
        interval = of_share(found_of, of_own, results.metrics.confidence) if len(own) else None
        found.append(ClassRow(number, name, int(right[number]), values, interval))
    return sorted(found, key=lambda row: (*_recall(row.values), -row.values.support, row.number))


def _recall(values: ClassMetrics) -> tuple[bool, float]:
    return values.recall is None, values.recall or 0.0
