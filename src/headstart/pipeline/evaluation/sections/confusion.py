"""Section "Confusion": which classes are taken for which others."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.canvas import distinct
from headstart.pipeline.evaluation.metrics import confusion_matrix
from headstart.pipeline.evaluation.report import Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.gallery import anchor
from headstart.pipeline.evaluation.wording import FILTERS
from headstart.pipeline.pages.html import fragment

SHOWN = 30  # classes in the table; with more, those with the most mistakes
NAME = 40  # characters of a name in the table; the lists have the whole names
PAIRS_SHOWN = 1000
PAIRS_OPEN = 12  # more are in a box that scrolls


@dataclass(frozen=True)
class Cell:
    """`share` is that of the true class; `link` leads to a picture, or is empty if none is shown."""

    count: int
    share: float
    link: str
    is_right: bool


@dataclass(frozen=True)
class Line:
    """The test images of a class; `others` are those taken for a class that has no column."""

    name: str
    short: str
    cells: tuple[Cell, ...]
    others: int
    images: int


@dataclass(frozen=True)
class Pair:
    """A kind of mistake; `share` is that of the true class."""

    label: str
    predicted: str
    count: int
    share: float
    link: str


def section(results: Results, shown: Collection[tuple[int, int]]) -> Section:
    """Make the section.

    Args:
        shown: pairs of true and predicted class, of which pictures are on the page.
    """
    matrix = confusion_matrix(results.labels, results.predicted, len(results.classes))
    places = worst(matrix, SHOWN)
    short = distinct(results.classes, NAME)
    every = pairs(matrix, results.classes, shown)
    values = {
        "columns": [(results.classes[place], short[place]) for place in places],
        "lines": [
            Line(results.classes[place], short[place], *_counts(matrix, place, places, shown))
            for place in places
        ],
        "classes": len(results.classes),
        "pairs": every[:PAIRS_SHOWN],
        "kinds": len(every),
        "open": PAIRS_OPEN,
    }
    package = "headstart.pipeline.evaluation.sections"
    return Section("Confusion", fragment(package, "confusion.html.j2", FILTERS, **values))


def worst(matrix: NDArray[np.int64], most: int) -> list[int]:
    """All classes in their order, or the `most` ones with the most mistakes made of them or for them."""
    if len(matrix) <= most:
        return list(range(len(matrix)))
    wrong = matrix.sum(0) + matrix.sum(1) - 2 * np.diagonal(matrix)
    chosen: list[int] = np.argsort(-wrong, kind="stable")[:most].tolist()
    return chosen


def pairs(
    matrix: NDArray[np.int64], classes: tuple[str, ...], shown: Collection[tuple[int, int]]
) -> list[Pair]:
    """Every kind of mistake that was made, the most frequent first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")
    return [
        Pair(
            classes[row],
            classes[column],
            int(matrix[row, column]),
            float(matrix[row, column] / matrix[row].sum()),
            anchor(row, column) if (row, column) in shown else "",
        )
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    ]


def _counts(
    matrix: NDArray[np.int64], row: int, places: list[int], shown: Collection[tuple[int, int]]
) -> tuple[tuple[Cell, ...], int, int]:
    """The cells of a class, its images beyond them, and all its images."""
    images = int(matrix[row].sum())
    cells = tuple(
        Cell(
            int(matrix[row, column]),
            float(matrix[row, column] / max(images, 1)),
            anchor(row, column) if (row, column) in shown else "",
            row == column,
        )
        for column in places
    )
    return cells, images - sum(cell.count for cell in cells), images
