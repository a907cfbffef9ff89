"""The choice of a threshold for two classes by what mistakes cost: a table, and the points of a chooser."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from headstart.pipeline.evaluation import decisions
from headstart.pipeline.evaluation.costs import costs_of
from headstart.pipeline.evaluation.decisions import Errors, Flags, Floats
from headstart.pipeline.evaluation.intervals import Interval, exact, of_share
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.wording import FILTERS, complement, share, shares, threshold
from headstart.pipeline.pages.html import fragment

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
STEPS = 100  # of the chooser's slider, besides the thresholds that can be the cheapest
UNITS = 1000  # images to which a cost on the page refers


@dataclass(frozen=True)
class Point:
    """A threshold, and what it does to the test images.

    Attributes:
        validation, test: its mistakes there.
        missed: interval of the share of the class that it misses.
        false_alarms: interval of the share of the other class that it takes for the class.
    """

    value: float
    validation: Errors
    test: Errors
    missed: Interval
    false_alarms: Interval


@dataclass(frozen=True)
class Thresholds:
    """Thresholds for one of two classes.

    Attributes:
        name, other: the class that is answered from the threshold on, and the other one.
        positives, negatives: their test images.
        missed_cost, alarm_cost: of a mistake on an image of `name`, and of `other`.
        images: of the validation split.
        points: the thresholds to choose from, rising; one above 1 answers `other` always.
        corners: those among them of which one costs least on the validation images, whatever mistakes cost.
        best: the one with the lowest cost there.
        saved: cost per test image less than by the most probable class, with its interval.
    """

    name: str
    other: str
    positives: int
    negatives: int
    missed_cost: float
    alarm_cost: float
    images: int
    points: tuple[Point, ...]
    corners: frozenset[float]
    best: Point
    saved: float
    saved_interval: Interval

    @property
    def cost(self) -> Interval:
        """The interval of the cost per test image, from the exact ones of both shares of mistakes.

        Unlike a bootstrap's it is no point where no mistake was made.

        Source: as `intervals.of_mean`.
        """
        errors, counts = self.best.test, (self.positives, self.negatives)
        rates = np.array([errors.missed, errors.false_alarms]) / np.maximum(counts, 1)
        weights = np.array([self.missed_cost, self.alarm_cost]) * counts / sum(counts)
        intervals = self.best.missed, self.best.false_alarms
        below = weights * (rates - [each.low for each in intervals])
        above = weights * ([each.high for each in intervals] - rates)
        return Interval(
            max(0.0, errors.cost - float(np.sqrt((below**2).sum()))),
            errors.cost + float(np.sqrt((above**2).sum())),
        )

    @property
    def rows(self) -> list[Point]:
        """The rows of the table."""
        return [point for point in self.points if point is self.best or point.value in SHOWN]

    def recalls(self, point: Point) -> tuple[tuple[str, str], tuple[str, str]]:
        """Recall of both classes on the test images, and its interval, as the page shows them."""
        return (
            _rate(self.positives - point.test.missed, self.positives, point.missed),
            _rate(self.negatives - point.test.false_alarms, self.negatives, point.false_alarms),
        )

    def precisions(self, point: Point) -> tuple[str, str]:
        """Precision of both classes on the test images, as the page shows it."""
        found, rest = self.positives - point.test.missed, self.negatives - point.test.false_alarms
        return _precision(found, point.test.false_alarms), _precision(rest, point.test.missed)

    def data(self) -> str:
        """The points as JSON for the page's script: a list per column, a value per point.

        Figures that do not depend on the costs are texts, so that they are those of the table. Where a column
        has pairs, the first is that of `name`, the second that of `other`; of mistakes, those on its images.
        """
        points = self.points
        return json.dumps(
            {
                "classes": [self.name, self.other],
                "validation_images": self.images,
                "test_images": [self.positives, self.negatives],
                "thresholds": [point.value for point in points],
                "shown": [answered(point.value) for point in points],
                "corners": [index for index, point in enumerate(points) if point.value in self.corners],
                "validation": [point.validation[:2] for point in points],
                "test": [point.test[:2] for point in points],
                "intervals": [
                    [[each.low, each.high] for each in (point.missed, point.false_alarms)] for point in points
                ],
                "recall": [self.recalls(point) for point in points],
                "precision": [self.precisions(point) for point in points],
            },
            ensure_ascii=False,
        )


@dataclass(frozen=True)
class _Side:
    """The test images of one class.

    Attributes:
        scores: float64 [n], their probabilities of the class with the threshold.
        groups: int64 [n], the group of each; None if each is alone.
    """

    scores: Floats
    groups: NDArray[np.int64] | None
    confidence: float

    @classmethod
    def of(cls, results: Results, scores: Floats, own: Flags) -> "_Side":
        names = [group for group, kept in zip(results.own_groups, own, strict=True) if kept]
        numbers = np.unique(np.asarray(names, dtype=object), return_inverse=True)[1]
        is_grouped = len(set(names)) < len(names)
        return cls(scores[own], numbers if is_grouped else None, results.options.confidence)

    def interval(self, mistaken: Flags) -> Interval:
        """The interval of the share of mistakes, bool [n]; (0, 1) of no image."""
        count = int(mistaken.sum())
        if count not in self._known:  # the images are ranked, so the number says which
            none = exact(0, 0, self.confidence)
            found = of_share(mistaken, self.groups, self.confidence, exact) if len(mistaken) else none
            self._known[count] = found
        return self._known[count]

    @cached_property
    def _known(self) -> dict[int, Interval]:
        return {}


def choice(results: Results) -> Markup:
    """The part of the page on thresholds; empty if there are not two classes.

    Every threshold is chosen on validation and shown on test.

    Raises:
        ParamsError: `evaluate.costs` does not fit the classes.
    """
    found = thresholds(results)
    if found is None:
        return Markup()
    return fragment(
        "headstart.pipeline.evaluation.sections",
        "thresholds.html.j2",
        {**FILTERS, "per_thousand": per_thousand},
        c=found,
        level=results.options.confidence,
    )


def thresholds(results: Results) -> Thresholds | None:
    """The thresholds for the costlier class, or the second, as in the ROC curve, if both cost the same."""
    costs = costs_of(results.options.costs, results.classes)
    if len(costs) != 2:
        return None
    index = 0 if costs[0] > costs[1] else 1
    missed, alarm = costs[index], costs[1 - index]
    validation, options = results.validation, results.options
    known = validation.probabilities[:, index], validation.labels == index
    scores, positives = results.probabilities[:, index], results.labels == index
    sides = _Side.of(results, scores, positives), _Side.of(results, scores, ~positives)
    best, corners = decisions.best_threshold(*known, missed, alarm), decisions.corner_thresholds(*known)
    values = sorted({*(step / STEPS for step in range(1, STEPS)), *corners.tolist(), best})
    points = tuple(
        Point(
            value,
            on_validation,
            on_test,
            sides[0].interval(sides[0].scores < value),
            sides[1].interval(sides[1].scores >= value),
        )
        for value, on_validation, on_test in zip(
            values,
            decisions.errors_of(*known, values, missed, alarm),
            decisions.errors_of(scores, positives, values, missed, alarm),
            strict=True,
        )
    )
    own = decisions.costs_at(scores, positives, best, missed, alarm)
    usual = np.where((results.predicted == index) == positives, 0.0, np.where(positives, missed, alarm))
    return Thresholds(
        name=results.classes[index],
        other=results.classes[1 - index],
        positives=int(positives.sum()),
        negatives=int((~positives).sum()),
        missed_cost=missed,
        alarm_cost=alarm,
        images=len(validation.labels),
        points=points,
        corners=frozenset(corners.tolist()),
        best=points[values.index(best)],
        saved=float((usual - own).mean()),
        saved_interval=decisions.mean_interval(
            usual - own, results.own_groups, options.confidence, options.resamples, options.seed
        ),
    )


def _rate(found: int, images: int, mistaken: Interval) -> tuple[str, str]:
    if not images:
        return "no test images", ""
    return share(found / images), shares(Interval(1 - mistaken.high, 1 - mistaken.low))


def _precision(right: int, wrong: int) -> str:
    return share(right / (right + wrong)) if right + wrong else "never predicted"


def answered(value: float) -> tuple[str, str]:
    """When the class of this threshold is answered, and when the other one, each by its own probability."""
    if value > 1:
        return "never", "always"
    return f"from {threshold(value)} on", f"above {complement(value)}"


def per_thousand(cost: float | Interval) -> float | Interval:
    """A cost per image, or its interval, as that of 1,000 images."""
    return Interval(cost.low * UNITS, cost.high * UNITS) if isinstance(cost, Interval) else cost * UNITS
