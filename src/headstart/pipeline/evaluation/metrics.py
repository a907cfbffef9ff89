"""Test metrics with confidence intervals, from labels and probabilities alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, HeadstartError
from headstart.pipeline.evaluation.intervals import Interval as Interval
from headstart.pipeline.evaluation.intervals import (
    effective_images,
    exact,
    group_weights,
    of_auc,
    of_mean,
    percentile,
    wilson,
)
from headstart.pipeline.evaluation.ranking import auc

SUM_TOLERANCE = 1e-3
METHODS = {  # of the intervals; `bench/intervals.py` measures how often they cover
    "accuracy": "Wilson's score interval",
    "balanced_accuracy": "exact intervals of the recalls, combined",
    "macro_f1": "exact intervals of the classes, combined",
    "roc_auc": "Newcombe's score interval",
    "log_loss": "percentiles of the bootstrap",
}


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; None where a figure is not defined.

    Attributes:
        precision: None if the class was never predicted.
        recall: None if the class has no images.
        f1: None if both.
        roc_auc: None if one of the two sides has no images.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    support: int


@dataclass(frozen=True)
class Metrics:
    """The figures of a head on a set of images.

    `roc_auc` is None, without an interval, if no class has images on both sides. `groups` is the number of
    groups that the intervals count, None if they count images.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    roc_auc: float | None
    per_class: dict[str, ClassMetrics]
    intervals: dict[str, Interval]
    images: int
    confidence: float
    groups: int | None = None

    def headline(self) -> dict[str, float | None]:
        """The content of `metrics.json`: the figures over all classes, and how many images they count."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "roc_auc": self.roc_auc,
            "log_loss": self.log_loss,
            "images": self.images,
            **({} if self.groups is None else {"groups": self.groups}),
        }


class RocCurve(NamedTuple):
    """Float64 [K] each: rates in [0, 1], rising; thresholds falling from infinity."""

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def classification_metrics(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    *,
    confidence: float,
    resamples: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Metrics:
    """Metrics as scikit-learn defines them, with two-sided intervals; the same bits in every run.

    The predicted class is the most probable one, the first if several tie. A class without images is
    left out of balanced accuracy and the mean AUC, and of macro F1 unless it was predicted. AUC is that of
    class 1 for two classes, else the mean of one-vs-rest.

    Args:
        labels: int64 [N], indices into `classes`.
        probabilities: [N, C] in [0, 1], rows that sum to 1.
        classes: the C names, at least two.
        confidence: level of the intervals, in (0, 1): see METHODS.
        resamples: number of bootstrap resamples, for the loss.
        seed: seed of the bootstrap.
        groups: the group of each image; intervals then count groups, since images of one group are alike:
            by the design effect on the counts, and by the cluster bootstrap of the loss.

    Raises:
        DataError: there are no images.
        HeadstartError: probabilities are not finite, not in [0, 1] or do not sum to 1.
        ValueError: the shapes, labels, confidence or resamples are invalid.
    """
    probabilities = np.asarray(probabilities, np.float64)
    _check(labels, probabilities, classes, confidence, resamples)
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    aucs = np.array([auc(scores, labels == index) for index, scores in enumerate(probabilities.T)])
    counts = _Counts(confusion_matrix(labels, predicted, len(classes)), aucs)
    losses = _losses(labels, probabilities)
    return Metrics(
        accuracy=float(right.mean()),
        balanced_accuracy=float(counts.recalls().mean()),
        macro_f1=float(counts.f1().mean()),
        log_loss=float(losses.mean()),
        roc_auc=_defined(counts.auc()),
        per_class=_per_class(counts.matrix, aucs, classes),
        intervals=_intervals(counts, right, labels, losses, groups, confidence, resamples, seed),
        images=len(labels),
        confidence=confidence,
        groups=None if groups is None else len(set(groups)),
    )


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes_count: int
) -> NDArray[np.int64]:
    """Counts, int64 [C, C]: rows are true classes, columns predicted ones."""
    cells = np.bincount(labels * classes_count + predicted, minlength=classes_count**2)
    return cells.reshape(classes_count, classes_count).astype(np.int64)


def roc_curves(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, RocCurve]:
    """One curve per class with images on both sides; if there are two classes, only the second's.

    Args:
        labels: int64 [N], places in `classes`.
        probabilities: float64 [N, C].
    """
    curves = {}
    for index, name in enumerate(classes):
        positives = labels == index
        if positives.any() and not positives.all() and (index or len(classes) > 2):
            curves[name] = roc_curve(probabilities[:, index], positives)
    return curves


def roc_curve(scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> RocCurve:
    """The ROC curve without the points that lie on a straight line between their neighbours.

    Args:
        scores: float64 [N], higher for the positive class.
        positives: bool [N]. If all or none are True, the rate without images is nan throughout.

    Source: `sklearn.metrics.roc_curve` with `drop_intermediate=True`.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positives[order].astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum(hits)[last]
    false = 1 + last - true
    # A corner is where the direction changes: elsewhere both second differences are 0.
    corner = np.flatnonzero((np.diff(true, 2) != 0) | (np.diff(false, 2) != 0)) + 1
    kept = np.concatenate([[0], corner, [len(last) - 1]]) if len(last) > 2 else np.arange(len(last))
    with np.errstate(invalid="ignore"):
        return RocCurve(
            np.append(0, false[kept]) / false[-1],
            np.append(0, true[kept]) / true[-1],
            np.append(np.inf, ranked[last[kept]]),
        )


def _check(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    confidence: float,
    resamples: int,
) -> None:
    if len(labels) == 0:
        raise DataError("there are no images to evaluate on; give the test split a larger fraction")
    if len(classes) < 2 or probabilities.shape != (len(labels), len(classes)):
        raise ValueError(
            f"probabilities are {list(probabilities.shape)}; expected "
            f"[{len(labels)}, {len(classes)}] with at least two classes"
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(
            f"labels range from {labels.min()} to {labels.max()}; expected 0 to {len(classes) - 1}"
        )
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence {confidence} and resamples {resamples}; expected (0, 1) and at least 1")
    bad = _improper(probabilities)
    if bad.any():
        row = int(np.argmax(bad))
        raise HeadstartError(
            f"image {row} has the probabilities {probabilities[row].tolist()}; expected numbers in "
            "[0, 1] that sum to 1; train again, with a smaller `lr` if the loss was not finite"
        )


def _improper(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    # Negated, so that nan, which compares as False, is improper.
    outside = ~((probabilities >= 0) & (probabilities <= 1))
    summed = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE
    return np.asarray(outside.any(axis=1) | ~summed, np.bool_)


def _per_class(
    matrix: NDArray[np.int64], aucs: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, ClassMetrics]:
    hits, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 of 0 is nan
        precision, recall, f1 = hits / predicted, hits / support, 2 * hits / (support + predicted)
    return {
        name: ClassMetrics(
            precision=_defined(precision[i]),
            recall=_defined(recall[i]),
            f1=_defined(f1[i]),
            roc_auc=_defined(aucs[i]),
            support=int(support[i]),
        )
        for i, name in enumerate(classes)
    }


@dataclass(frozen=True)
class _Counts:
    """Everything that the figures need, apart from the losses.

    Attributes:
        matrix: int64 [C, C], rows are true classes.
        aucs: float64 [C], each class against the rest; NaN if one side has no images.
    """

    matrix: NDArray[np.int64]
    aucs: NDArray[np.float64]

    @property
    def hits(self) -> NDArray[np.int64]:
        return np.diag(self.matrix)

    @property
    def support(self) -> NDArray[np.int64]:
        return np.asarray(self.matrix.sum(axis=1))

    @property
    def errors(self) -> NDArray[np.int64]:
        """Images of a class that were not found, and others taken for it: int64 [C]."""
        return np.asarray(self.support + self.matrix.sum(axis=0) - 2 * self.hits)

    def recalls(self) -> NDArray[np.float64]:
        """Of the classes that have images."""
        present = self.support > 0
        return self.hits[present] / self.support[present]

    def f1(self) -> NDArray[np.float64]:
        """Of the classes that have images or were predicted."""
        met = self.hits + self.errors > 0
        return 2 * self.hits[met] / (2 * self.hits + self.errors)[met]

    def auc(self) -> float:
        """Of class 1 for two classes, else the mean over classes; NaN if none is defined."""
        if len(self.aucs) == 2:
            return float(self.aucs[1])
        defined = self.aucs[~np.isnan(self.aucs)]
        return float(defined.mean()) if len(defined) else float("nan")


def _intervals(
    counts: _Counts,
    right: NDArray[np.bool_],
    labels: NDArray[np.int64],
    losses: NDArray[np.float64],
    groups: Sequence[str] | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    images = len(labels)
    dilution = np.ones(len(counts.support))  # images of each class that say as much as one independent image
    independent, alike = float(images), np.arange(images)
    if groups is not None:
        names = np.asarray(groups)
        alike = np.unique(names, return_inverse=True)[1]
        independent = effective_images(right.astype(np.float64), groups)
        for index in np.flatnonzero(counts.support):
            own = labels == index
            dilution[index] = own.sum() / effective_images(right[own].astype(np.float64), names[own].tolist())
    found = {
        "accuracy": wilson(independent * float(right.mean()), independent, confidence),
        "balanced_accuracy": _of_recalls(counts, dilution, confidence),
        "macro_f1": _of_f1(counts, dilution, confidence),
        "log_loss": _of_losses(losses, alike, confidence, resamples, seed),
    }
    if not np.isnan(counts.auc()):
        found["roc_auc"] = _of_auc(counts, dilution, confidence)
    return found


def _of_recalls(counts: _Counts, dilution: NDArray[np.float64], confidence: float) -> Interval:
    """Classes are independent of each other: their images are different ones."""
    each = [
        exact(hits / less, support / less, confidence)
        for hits, support, less in zip(counts.hits, counts.support, dilution, strict=True)
        if support
    ]
    return of_mean(counts.recalls(), each, np.eye(len(each)))


def _of_f1(counts: _Counts, dilution: NDArray[np.float64], confidence: float) -> Interval:
    """Each class's F1 is a function of one share: its hits, among its hits and errors.

    Every error counts against two classes, which correlates them: measured by how often the two are confused,
    and as if each class had been taken once more for any other, since a few errors show little of it.

    Source: K. F. Y. Lam, V. Gopal, J. Qian, Confidence intervals for the F1 score: a comparison of four
    methods, 2023 (the indirect method), here from the exact interval.
    """
    met = counts.hits + counts.errors > 0
    shares = [
        exact(hits / less, (hits + errors) / less, confidence)
        for hits, errors, less in zip(counts.hits[met], counts.errors[met], dilution[met], strict=True)
    ]
    each = [
        Interval(*(2 * share / (1 + share) for share in (between.low, between.high))) for between in shares
    ]
    if len(each) == 1:
        return each[0]
    confused = (counts.matrix + counts.matrix.T)[np.ix_(met, met)] + 1 / (len(each) - 1)
    np.fill_diagonal(confused, 0)
    scale = np.sqrt(confused.sum(axis=1))
    correlations = confused / np.outer(scale, scale)
    np.fill_diagonal(correlations, 1)
    return of_mean(counts.f1(), each, correlations)


def _of_auc(counts: _Counts, dilution: NDArray[np.float64], confidence: float) -> Interval:
    """For more than two classes, that of two classes of equal size that say as much about the mean.

    The mean over classes varies at most like that of classes of equal size, the harmonic mean of theirs.
    """
    sizes = counts.support / dilution
    if len(sizes) == 2:
        return of_auc(counts.auc(), sizes[1], sizes[0], confidence)
    sizes = sizes[sizes > 0]
    half = len(sizes) ** 2 / float((1 / sizes).sum()) / 2
    return of_auc(counts.auc(), half, half, confidence)


def _of_losses(
    losses: NDArray[np.float64], alike: NDArray[np.int64], confidence: float, resamples: int, seed: int
) -> Interval:
    means = [losses @ weights / weights.sum(axis=0) for weights in group_weights(alike, resamples, seed)]
    interval = percentile(np.concatenate(means), confidence)
    assert interval is not None
    return interval


def _losses(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 [N], in nats."""
    tiny = np.finfo(np.float64).eps
    own = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(own, tiny, 1 - tiny)))


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
