"""The gate's check of the classes that the champion lacks."""

from collections.abc import Mapping, Sequence

import numpy as np

from headstart.ground.wording import named
from headstart.pipeline.evaluation.intervals import Interval, exact, of_share
from headstart.pipeline.evaluation.paired_difference import Flags
from headstart.versions.release.class_tests import corrected_levels
from headstart.versions.release.decision import Check, Verdict, share

NAMED = 5  # classes in a line


def new_classes(
    rights: Mapping[str, Flags],
    least: float,
    confidence: float,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Check:
    """Failed if the recall of a new class is below the threshold with its whole interval.

    If all classes have just that recall, it fails with a probability of at most (1 - confidence) / 2, for any
    number of classes. A class with so few images that not even mistakes on all of them would prove anything
    is named and not judged; if all are so small, the check is inconclusive.

    Args:
        rights: for each class, whether each of its N images was labelled right, bool [N].
        least: the threshold, in [0, 1].
        groups: for each class, the group of each image, if images of one group are alike.
    """
    level, few = _level(rights, least, confidence, groups)
    note = f"too few images to judge {named(few.values(), NAMED)}" if few else ""
    wanted = f"no class below {share(least)} with its whole interval"
    order = sorted(rights.keys() - few.keys(), key=lambda name: (rights[name].mean(), name))
    if not order:
        return Check("new_classes", "inconclusive", None, wanted, note)
    ends = {
        name: of_share(rights[name], groups[name] if groups else None, 1 - 2 * level, exact) for name in order
    }
    recalls = {name: float(rights[name].mean()) for name in order}
    low = [name for name in order if ends[name].high < least]
    chance = sum(recall < least for recall in recalls.values()) - len(low)
    note = "; ".join(filter(None, (f"{chance} measured below may be chance" if chance else "", note)))
    shown = low or order[:1]
    found = _found({name: recalls[name] for name in shown}, ends[shown[0]], 1 - 2 * level, len(order))
    verdict: Verdict = "failed" if low else "passed"
    worst, interval = recalls[shown[0]], ends[shown[0]]
    return Check("new_classes", verdict, worst, wanted, note, interval.low, interval.high, found)


def _level(
    rights: Mapping[str, Flags],
    least: float,
    confidence: float,
    groups: Mapping[str, Sequence[str]] | None,
) -> tuple[float, dict[str, str]]:
    """The level of each class's test, and the classes that are too small for it, with their images."""
    units = [len(set(groups[name]) if groups else right) for name, right in rights.items()]
    lowest = (1 - least) ** np.array(units, np.float64)
    level, _ = corrected_levels(lowest, (1 - confidence) / 2)
    small = [name for name, p_value in zip(rights, lowest, strict=True) if p_value > level and least > 0]
    return level, {name: f"{name} ({len(rights[name])})" for name in small}


def _found(recalls: Mapping[str, float], interval: Interval, confidence: float, count: int) -> str:
    said = [f"{name} {share(recall)}" for name, recall in recalls.items()]
    ends = f"{share(interval.low)} to {share(interval.high)}"
    said[0] += f" ({share(confidence)} interval: {ends}; {count} compared)"
    return f"recall of {named(said, NAMED)}"
