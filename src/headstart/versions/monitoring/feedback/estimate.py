"""Accuracy before labels arrive: confidence-based performance estimation (CBPE).

Each answer is right with the probability that its confidence stands for, as calibrated on the version's
recorded test predictions; their mean is the estimated accuracy. That assumes that an answer of some
confidence is as often right in production as it was in the test, whatever the mix of confidences is. It says
nothing of images whose meaning changed, or that the model is wrongly sure of.

Sources: NannyML, Estimating performance of the monitored model, 2022; J. Platt, Probabilistic outputs for
support vector machines, 1999 (the calibration and its targets).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from headstart.pipeline.evaluation.intervals import effective_images
from headstart.versions.monitoring.feedback.figures import Figure, Flags, Floats

LEAST = 1e-6  # the distance that a confidence, and a probability, keeps from 0 and 1


@dataclass(frozen=True)
class Calibration:
    """The probability that an answer is right: expit(weights @ (1, logit of its confidence)).

    Attributes:
        weights: float64 [2].
        covariance: of the weights, float64 [2, 2].
        slope: float64 [2], how the mean probability of the test images changes with the weights.
        accuracy: that mean, which is the test accuracy up to Platt's targets.
        variance: of that mean, as other test images of the same kind would have other confidences.
        images: of the test.
    """

    weights: Floats
    covariance: Floats
    slope: Floats
    accuracy: float
    variance: float
    images: int

    def right(self, confidence: Floats) -> Floats:
        """The probability that answers of these confidences [N] are right: float64 [N], never 0 or 1."""
        chances = expit(_columns(confidence) @ self.weights)
        return np.asarray(np.clip(chances, LEAST, 1 - LEAST))

    def estimate(self, confidence: Floats, copies: Sequence[str], level: float) -> Figure:
        """The accuracy of the answers to these images [N], N at least 1.

        The interval counts the uncertainty of the calibration, and that right answers are drawn by their
        probabilities.

        Args:
            copies: a name per image, equal for copies of one picture.
        """
        chances = self.right(confidence)
        mean = float(chances.mean())
        slope = _slope(confidence, chances)
        drawn = float((chances * (1 - chances)).mean()) / _independent(copies)
        spread = math.sqrt(float(slope @ self.covariance @ slope) + drawn)
        reach = NormalDist().inv_cdf((1 + level) / 2) * spread / (mean * (1 - mean))
        low, high = (float(expit(logit(mean) + end)) for end in (-reach, reach))
        return Figure(mean, low, high, len(confidence))

    def change(self, confidence: Floats, copies: Sequence[str], level: float) -> Figure:
        """The estimated accuracy less that of the test, for images like these and images like the test's.

        An error of the calibration is the same on both sides, and counts as far as their confidences differ.
        """
        chances = self.right(confidence)
        gap = float(chances.mean()) - self.accuracy
        slope = _slope(confidence, chances) - self.slope
        sampled = float(chances.var()) / _independent(copies) + self.variance
        spread = math.sqrt(float(slope @ self.covariance @ slope) + sampled)
        reach = NormalDist().inv_cdf((1 + level) / 2) * spread
        return Figure(gap, max(-1.0, gap - reach), min(1.0, gap + reach), len(confidence))


def calibrate(confidence: Floats, right: Flags, groups: Sequence[str] | None = None) -> Calibration:
    """Fit the calibration to test images: two numbers, by logistic regression.

    If more confident answers were less often right, which is chance with few images, confidence counts for
    nothing and every answer is right with one probability.

    Args:
        confidence: float64 [N], of the most probable class.
        right: bool [N].
        groups: the group of each image, if images of one group are alike.
    """
    columns = _columns(confidence)
    weights = _fit(columns, right)
    used = columns if weights[1] >= 0 else columns[:, :1]
    if weights[1] < 0:
        weights = np.array([logit(_targets(right).mean()), 0.0])
    chances = expit(columns @ weights)
    information = used.T @ (used * (chances * (1 - chances))[:, None])
    covariance = np.zeros((2, 2))
    size = used.shape[1]
    independent = len(right) if groups is None else effective_images(right.astype(np.float64), groups)
    covariance[:size, :size] = np.linalg.pinv(information) * len(right) / independent
    return Calibration(
        weights,
        covariance,
        _slope(confidence, chances),
        float(chances.mean()),
        float(chances.var()) / independent,
        len(right),
    )


def _independent(copies: Sequence[str]) -> float:
    """How many independent images are as informative: fewer the more unevenly pictures are repeated."""
    repeats = Counter(copies).values()
    return len(copies) ** 2 / sum(count**2 for count in repeats)


def _fit(columns: Floats, right: Flags) -> Floats:
    """The weights with the least log loss, which is convex in them."""
    targets = _targets(right)

    def loss(weights: Floats) -> float:
        logits = columns @ weights
        return float((np.logaddexp(0, logits) - targets * logits).mean())

    def slope(weights: Floats) -> Floats:
        return np.asarray(columns.T @ (expit(columns @ weights) - targets) / len(targets))

    def curvature(weights: Floats) -> Floats:
        chances = expit(columns @ weights)
        return np.asarray(columns.T @ (columns * (chances * (1 - chances))[:, None]) / len(targets))

    start = np.zeros(2)
    found = minimize(loss, start, jac=slope, hess=curvature, method="trust-exact", options={"gtol": 1e-9})
    return np.asarray(found.x, np.float64)


def _targets(right: Flags) -> Floats:
    """Almost 1 for right answers and almost 0 for wrong ones, so that a test without mistakes has a fit."""
    hits = int(right.sum())
    return np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))


def _columns(confidence: Floats) -> Floats:
    x = logit(np.clip(confidence, LEAST, 1 - LEAST))
    return np.stack([np.ones_like(x), x], 1)


def _slope(confidence: Floats, chances: Floats) -> Floats:
    return np.asarray((_columns(confidence) * (chances * (1 - chances))[:, None]).mean(0))
