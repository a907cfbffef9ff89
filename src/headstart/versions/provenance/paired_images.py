"""Two versions on the test images that both have: images won and lost, and the paired differences."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from headstart.ground.wording import named, points
from headstart.pipeline.evaluation.paired_difference import Flags, difference

NAMED = 20  # images and classes in a terminal


@dataclass(frozen=True)
class Gap:
    """Accuracy or recall of the later version less that of the earlier one, with its interval.

    Attributes:
        images: that it counts.
    """

    images: int
    value: float
    low: float
    high: float

    def sentence(self) -> str:
        return f"{points(self.value)} (interval: {points(self.low)} to {points(self.high)})"


@dataclass(frozen=True)
class Paired:
    """The common test images that no head saw which either version was trained from.

    Attributes:
        images: that it counts.
        seen: common test images that an earlier head in either's training saw, which are left out.
        unknown: the versions with an earlier head whose images are unknown, because no version has it.
        confidence: level of the intervals.
        accuracy: None without a common image.
        recalls: of each class with at least `least` common images.
        won, lost: paths of the images that only the later, or only the earlier version labels right.
    """

    images: int
    seen: int
    unknown: tuple[str, ...]
    confidence: float
    least: int
    accuracy: Gap | None
    recalls: dict[str, Gap]
    won: tuple[str, ...]
    lost: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "seen_by_earlier_heads": self.seen,
            "unknown_earlier_heads": list(self.unknown),
            "confidence": self.confidence,
            "accuracy": None if self.accuracy is None else dict(vars(self.accuracy)),
            "least_images_of_a_class": self.least,
            "recalls": {name: dict(vars(gap)) for name, gap in self.recalls.items()},
            "won": list(self.won),
            "lost": list(self.lost),
        }

    def lines(self) -> list[str]:
        """One line per figure, for a terminal; the classes that changed most first."""
        if self.accuracy is None:
            return [self.nothing, *self.remarks]
        lines = [
            *self.remarks,
            f"accuracy on {self.images} images: {self.accuracy.sentence()}, at {100 * self.confidence:g} %",
            f"won {len(self.won)}{self._named(self.won)}",
            f"lost {len(self.lost)}{self._named(self.lost)}",
        ]
        changed = [(name, gap) for name, gap in self.most_changed() if gap.value]
        lines += [f"recall of {name}, {gap.images} images: {gap.sentence()}" for name, gap in changed[:NAMED]]
        if len(changed) > NAMED:
            lines.append(f"and {len(changed) - NAMED} more classes (--json has them)")
        return [*lines, self.by_chance] if self.by_chance else lines

    @property
    def by_chance(self) -> str:
        """How many classes seem to change by chance alone; "" for less than one."""
        expected = round(len(self.recalls) * (1 - self.confidence))
        if not expected:
            return ""
        return (
            f"each interval is of its class alone: if none of the {len(self.recalls)} classes changed, up to "
            f"about {expected} would still have one without 0"
        )

    @property
    def nothing(self) -> str:
        """Why there is nothing to compare."""
        if self.seen:
            return "no head in the training of either has left a common test image unseen"
        return "no test image is common to both"

    @property
    def remarks(self) -> list[str]:
        """Sentences on the images that the heads before either version saw."""
        said = []
        if self.seen:
            said.append(
                f"{self.seen} more common test images are left out: a head that one of the two was trained "
                "from (train.init) saw them"
            )
        if self.unknown:
            said.append(
                f"the figures may flatter {' and '.join(self.unknown)}: an earlier head (train.init) is held "
                "by no version, so the images that it saw are unknown"
            )
        return said

    def most_changed(self) -> list[tuple[str, Gap]]:
        """The classes by the size of their difference, then by name."""
        return sorted(self.recalls.items(), key=lambda item: (-abs(item[1].value), item[0]))

    @staticmethod
    def _named(paths: Sequence[str]) -> str:
        return f": {named(paths, NAMED)}" if paths else ""


def pair(
    before: pd.DataFrame,
    after: pd.DataFrame,
    groups: pd.Series,
    confidence: float,
    least: int,
    seen: Set[str] = frozenset(),
    unknown: Sequence[str] = (),
) -> Paired:
    """Compare the predictions of two versions for their common test images, by the later version's labels.

    Args:
        before, after: columns pixels, path, label and predicted, one row per test image.
        groups: the group of each image by its pixel digest; "" for none.
        least: common images that a class needs for an interval of its recall.
        seen: pixel digests of the images that earlier heads saw, which do not count.
        unknown: as in `Paired`.
    """
    left = before.drop_duplicates("pixels").set_index("pixels")["predicted"].rename("before")
    both = after.drop_duplicates("pixels").set_index("pixels").join(left, how="inner").sort_values("path")
    common = len(both)
    both = both[~both.index.isin(list(seen))]
    labels = both["label"].to_numpy(dtype=object)
    was = (both["before"] == both["label"]).to_numpy(np.bool_)
    now = (both["predicted"] == both["label"]).to_numpy(np.bool_)
    own = groups.reindex(both.index).fillna("")
    alike = own.mask(own == "", both.index.to_series()).to_numpy(dtype=object)
    is_grouped = bool((own != "").any())

    def gap(chosen: Flags) -> Gap:
        names = alike[chosen].tolist() if is_grouped else None
        value, interval = difference(now[chosen], was[chosen], confidence, names)
        return Gap(int(chosen.sum()), value, interval.low, interval.high)

    counts = {name: labels == name for name in sorted(set(labels))}
    return Paired(
        images=len(both),
        seen=common - len(both),
        unknown=tuple(unknown),
        confidence=confidence,
        least=least,
        accuracy=gap(np.ones(len(both), np.bool_)) if len(both) else None,
        recalls={name: gap(chosen) for name, chosen in counts.items() if chosen.sum() >= least},
        won=tuple(both["path"][now & ~was]),
        lost=tuple(both["path"][was & ~now]),
    )
