"""Sections "Mistakes" and "Right answers": pictures with what the model says about them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.pipeline.evaluation.explanations import Explanation
from headstart.pipeline.evaluation.report import Mistake, Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.gallery import anchor
from headstart.pipeline.evaluation.wording import FILTERS
from headstart.pipeline.pages.html import fragment

PACKAGE = "headstart.pipeline.evaluation.sections"
SIDE = 200  # pixels of the longer side
SMALL = 120


@dataclass(frozen=True)
class Entry:
    """A picture of the gallery; `id` is set on the first picture of a class and answer."""

    id: str
    shown: Mistake


@dataclass(frozen=True)
class ClassEntries:
    """The mistakes of a class, of which some are shown."""

    name: str
    images: int
    wrong: int
    entries: tuple[Entry, ...]


def mistakes_at(results: Results, places: Sequence[int], side: int = SIDE) -> tuple[Mistake, ...]:
    """The test images at these places, as the page shows them."""
    return tuple(
        Mistake(
            path=str(results.table["path"].iloc[place]),
            label=results.classes[results.labels[place]],
            predicted=results.classes[results.predicted[place]],
            confidence=float(results.confidence[place]),
            thumbnail_jpeg=results.picture(place, side),
        )
        for place in places
    )


def section(results: Results, places: Sequence[int], why: Sequence[Explanation]) -> Section:
    """Make the section of mistakes.

    Args:
        places: of the images shown, in the order of the page.
        why: what explains each of these answers.
    """
    shown = [
        replace(mistake, overlay_jpeg=each.overlay_jpeg, nearest=each.nearest)
        for mistake, each in zip(mistakes_at(results, places), why, strict=True)
    ]
    wrong = results.predicted != results.labels
    by_class: dict[int, list[Entry]] = {}
    for entry, place in zip(_entries(results, places, shown), places, strict=True):
        by_class.setdefault(int(results.labels[place]), []).append(entry)
    groups = [
        ClassEntries(
            results.classes[label],
            int((results.labels == label).sum()),
            int((wrong & (results.labels == label)).sum()),
            tuple(entries),
        )
        for label, entries in by_class.items()
    ]
    values = {
        "groups": groups,
        "wrong": int(wrong.sum()),
        "shown": len(places),
        "has_maps": any(each.overlay_jpeg for each in why),
        "has_nearest": any(each.nearest for each in why),
    }
    return Section("Mistakes", fragment(PACKAGE, "mistakes.html.j2", FILTERS, **values))


def right_section(results: Results, places: Sequence[int]) -> Section | None:
    """Make the section of right answers; None if there are none."""
    if not places:
        return None
    entries = _entries(results, places, mistakes_at(results, places, SMALL))
    right = int((results.predicted == results.labels).sum())
    values = {
        "entries": entries,
        "right": right,
        "classes": len({*results.labels[np.array(places)].tolist()}),
    }
    return Section("Right answers", fragment(PACKAGE, "right_answers.html.j2", FILTERS, **values))


def _entries(results: Results, places: Sequence[int], shown: Sequence[Mistake]) -> list[Entry]:
    used: set[str] = set()
    entries = []
    for place, each in zip(places, shown, strict=True):
        name = anchor(int(results.labels[place]), int(results.predicted[place]))
        entries.append(Entry("" if name in used else name, each))
        used.add(name)
    return entries
