"""The gate's check of the classes that the champion knows, each on its own."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from headstart.ground.wording import named, points
from headstart.pipeline.evaluation.intervals import Interval
from headstart.pipeline.evaluation.paired_difference import Flags, difference
from headstart.versions.release.class_tests import changes_of, corrected_levels, p_worse
from headstart.versions.release.decision import Check, Verdict, share
from headstart.versions.release.settings import Gate

NAMED = 5  # classes in a line


def worst_class(
    labels: Sequence[str],
    candidate: Flags,
    champion: Flags,
    gate: Gate,
    groups: Sequence[str] | None = None,
) -> Check:
    """Failed if the recall of a class fell by more than the margin, and by more than chance explains.

    Between two models that are equally good in every class it fails with a probability of at most
    (1 - confidence) / 2, for any number of classes. A class with so few images that the loss of them all
    would prove nothing is named and not judged; if all are so small, the check is inconclusive.

    Args:
        labels: the class of each of N images, N at least 1.
        candidate, champion: bool [N], whether each image was labelled right.
        groups: the group of each image, if images of one group are alike.
    """
    compared = _Comparison(labels, candidate, champion, gate, groups)
    wanted = class_wanted(gate)
    if not compared.judged:
        return Check("worst_class", "inconclusive", None, wanted, compared.nothing())
    verdict: Verdict = "failed" if compared.fallen else "passed"
    worst = compared.shown[0]
    ends, figure = compared.interval(worst), float(compared.changes.recall[worst])
    note, found = compared.note(), compared.found()
    return Check("worst_class", verdict, figure, wanted, note, ends.low, ends.high, found)


def class_wanted(gate: Gate) -> str:
    """The requirement of `worst_class`, for people."""
    return f"no class more than {100 * gate.class_margin:.4g} points worse beyond chance"


class _Comparison:
    """Two models class by class; a class is named by its place in `names`."""

    def __init__(
        self,
        labels: Sequence[str],
        candidate: Flags,
        champion: Flags,
        gate: Gate,
        groups: Sequence[str] | None,
    ) -> None:
        self.names = sorted(set(labels))
        places = {name: place for place, name in enumerate(self.names)}
        self.classes = np.array([places[label] for label in labels])
        self.candidate, self.champion, self.gate, self.groups = candidate, champion, gate, groups
        self.changes = changes_of(self.classes, candidate, champion, groups)
        self.p_values = p_worse(self.changes)
        self.is_large = self.changes.images >= gate.min_class_images
        least = np.exp2(-self.changes.differing[self.is_large].astype(np.float64))
        alpha = (1 - gate.confidence) / 2
        self.level, self.further = corrected_levels(least, alpha) if len(least) else (alpha, alpha)

    @cached_property
    def judged(self) -> list[int]:
        """The classes in which a fall could be found; the largest measured fall first."""
        could = 0.5**self.changes.units <= self.further
        could |= 0.5**self.changes.differing <= self.level
        order = np.argsort(self.changes.recall, kind="stable")
        return [int(place) for place in order if self.is_large[place] and could[place]]

    @cached_property
    def below(self) -> list[int]:
        """Those whose measured fall is larger than the margin."""
        return [place for place in self.judged if self.changes.recall[place] < -self.gate.class_margin]

    @cached_property
    def fallen(self) -> list[int]:
        """Those of them that chance does not explain."""
        tested = [place for place in self.below if self.p_values[place] <= self.level]
        return [place for place in tested if self.interval(place).high < 0]

    @property
    def shown(self) -> list[int]:
        return self.fallen or self.judged[:1]

    def interval(self, place: int) -> Interval:
        """Tango's interval of a class's change; it reaches 0 unless the exact test refutes that, too."""
        own = np.flatnonzero(self.classes == place)
        groups = None if self.groups is None else [self.groups[index] for index in own.tolist()]
        ends = difference(self.candidate[own], self.champion[own], 1 - 2 * self.level, groups)[1]
        return ends if self.p_values[place] <= self.level else Interval(ends.low, max(ends.high, 0.0))

    def found(self) -> str:
        """The class that fell most with its interval, how many were compared, and which others fell."""
        said = [f"{self.names[place]}: {points(self.changes.recall[place])}" for place in self.shown]
        ends, count = self.interval(self.shown[0]), len(self.judged)
        interval = f"{share(1 - 2 * self.level)} interval: {points(ends.low)} to {points(ends.high)}"
        said[0] += f" ({interval}; {count} {'class' if count == 1 else 'classes'} compared)"
        return named(said, NAMED)

    def note(self) -> str:
        """Limits of the finding, for people; may be empty."""
        return "; ".join(filter(None, (self._by_chance(), self._smallest(), self._few())))

    def nothing(self) -> str:
        """The reason that no class is judged."""
        images = self.gate.min_class_images
        if self.groups is None:
            return f"no class has {max(images, self._needed)} images; {self._few()}"
        return f"no class has {images} images in {self._needed} groups; {self._few()}"

    def _by_chance(self) -> str:
        count = len(self.below) - len(self.fallen)
        if not count:
            return ""
        return f"{count} measured {'falls' if count > 1 else 'fall'} beyond the margin may be chance"

    def _smallest(self) -> str:
        """The least fall that could be found in the smallest class, if that is more than the margin."""
        smallest = min(self.judged, key=lambda place: self.changes.units[place])
        units = int(self.changes.units[smallest])
        if self._needed / units <= self.gate.class_margin:
            return ""
        found = f"only falls of about {100 * min(1.0, self._needed / units):.0f} points or more can be found"
        return f"in a class of {units} {self._unit}, such as {self.names[smallest]}, {found}"

    def _few(self) -> str:
        few = sorted({*range(len(self.names))} - {*self.judged})
        said = [f"{self.names[place]} ({self._size(place)})" for place in few]
        return f"too few images to judge {named(said, NAMED)}" if said else ""

    def _size(self, place: int) -> str:
        images, units = self.changes.images[place], self.changes.units[place]
        return str(images) if self.groups is None else f"{images} in {units} groups"

    @property
    def _needed(self) -> int:
        """Images or groups that must be lost, and none won, before a fall is found."""
        return math.ceil(-math.log2(self.further))

    @property
    def _unit(self) -> str:
        return "images" if self.groups is None else "groups"
