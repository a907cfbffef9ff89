"""The test images that the page shows: mistakes of every kind, and typical and doubtful right answers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from headstart.pipeline.evaluation.results import Results

MISTAKES_SHOWN = 48
CLASSES_SHOWN = 12  # of which right answers are shown


def anchor(label: int, predicted: int) -> str:
    """The name by which a link leads to the first picture of this class and answer."""
    return f"right-{label}" if label == predicted else f"wrong-{label}-{predicted}"


def mistakes(results: Results) -> list[int]:
    """Choose mistakes: every kind in turn, the most frequent first; of each kind the most confident ones.

    Returns:
        Places of at most 48 test images, ordered by true class, the one with the most mistakes first; then
        by frequency of the kind, then by confidence.
    """
    wrong = np.flatnonzero(results.predicted != results.labels)
    by_confidence = wrong[np.argsort(-results.confidence[wrong], kind="stable")]
    kinds = [(int(results.labels[place]), int(results.predicted[place])) for place in by_confidence]
    of_class, of_kind = Counter(label for label, _ in kinds), Counter(kinds)
    chosen = in_turn(kinds, MISTAKES_SHOWN)
    chosen.sort(key=lambda at: (-of_class[kinds[at][0]], kinds[at][0], -of_kind[kinds[at]], kinds[at][1], at))
    return [int(by_confidence[at]) for at in chosen]


def right_answers(results: Results) -> list[int]:
    """Choose right answers: per class the one of median confidence and the least confident one.

    Returns:
        Places of test images of at most 12 classes, those with the most mistakes first.
    """
    right = results.predicted == results.labels
    wrong = np.bincount(results.labels[~right], minlength=len(results.classes))
    chosen: list[int] = []
    classes = [label for label in np.argsort(-wrong, kind="stable") if right[results.labels == label].any()]
    for label in classes[:CLASSES_SHOWN]:
        own = np.flatnonzero(right & (results.labels == label))
        order = own[np.argsort(results.confidence[own], kind="stable")]
        chosen += dict.fromkeys((int(order[len(order) // 2]), int(order[0])))
    return chosen


def in_turn(kinds: Sequence[tuple[object, ...]], count: int) -> list[int]:
    """Choose places so that every kind has its turn, the most frequent one first.

    The first place of each kind is chosen, then the second of each, until there are `count`.
    """
    total, seen = Counter(kinds), Counter[tuple[object, ...]]()
    turns = []
    for place, kind in enumerate(kinds):
        turns.append((seen[kind], -total[kind], place))
        seen[kind] += 1
    return sorted(place for *_, place in sorted(turns)[:count])
