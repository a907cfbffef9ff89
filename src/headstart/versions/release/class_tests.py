"""Exact tests of many classes at once, at a level that holds for all of them together. Arrays only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from headstart.pipeline.evaluation.paired_difference import Flags

Numbers = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Changes:
    """A candidate against the champion, class by class; arrays [K].

    A unit is a group of images that are alike, or an image if none are grouped.

    Attributes:
        recall: float64, the candidate's recall less the champion's.
        images, units: int64, of the class.
        lost, won: int64, units of which the candidate has fewer, or more, images right than the champion.
    """

    recall: Values
    images: Numbers
    units: Numbers
    lost: Numbers
    won: Numbers

    @property
    def differing(self) -> Numbers:
        """Units that the two do not answer equally well, int64 [K]: only they can show a change."""
        return self.lost + self.won


def changes_of(
    classes: Numbers, candidate: Flags, champion: Flags, groups: Sequence[str] | None = None
) -> Changes:
    """Count the images, or groups of them, on which two models differ.

    Args:
        classes: int64 [N], the class of each image; each number from 0 to the largest occurs.
        candidate, champion: bool [N], whether each image was labelled right.
        groups: the group of each image, if images of one group are alike.
    """
    gains = candidate.astype(np.float64) - champion
    images = np.bincount(classes)
    recall = np.bincount(classes, weights=gains) / images
    if groups is not None:
        classes, gains = _by_group(classes, gains, groups)
    lost, won = (np.bincount(classes[differs], minlength=len(images)) for differs in (gains < 0, gains > 0))
    return Changes(recall, images, np.bincount(classes), lost, won)


def p_worse(changes: Changes) -> Values:
    """The exact one-sided sign test of each class: McNemar's test if images are not grouped.

    If neither model is better, each differing unit is as likely lost as won. The p-value is the chance that
    at least as many are lost as were, float64 [K].

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, Psychometrika 12, 1947.
    """
    some = np.maximum(changes.lost, 1)
    return np.where(changes.lost > 0, betainc(some, changes.won + 1, 0.5), 1.0)


def corrected_levels(least: Values, alpha: float) -> tuple[float, float]:
    """Divide a level among tests so that any false finding among them has a probability of at most `alpha`.

    A test that could find nothing at the divided level, whatever its outcome, is not counted. That matters
    much: with few images per class, most classes differ in too few to show anything.

    Args:
        least: float64 [K], K at least 1: the smallest p-value that each test can give.

    Returns:
        The level of each test, and what it would be if one more test could find something.

    Source: R. E. Tarone, A modified Bonferroni method for discrete data, Biometrics 46, 1990.
    """
    numbers = np.arange(1, len(least) + 1)
    able = np.searchsorted(np.sort(least), alpha / numbers, side="right")
    first = int(np.argmax(able <= numbers))
    return float(alpha / numbers[first]), float(alpha / max(numbers[first], able[first] + 1))


def _by_group(classes: Numbers, gains: Values, groups: Sequence[str]) -> tuple[Numbers, Values]:
    """The class and the sum of gains of each group; a group in two classes counts in both."""
    numbers = np.unique(np.asarray(groups, dtype=object), return_inverse=True)[1]
    keys, places = np.unique(classes * len(numbers) + numbers, return_inverse=True)
    return keys // len(numbers), np.bincount(places, weights=gains).astype(np.float64)
