"""Test metrics with confidence intervals, from labels and probabilities alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, HeadstartError
from headstart.pipeline.evaluation.intervals import Interval as Interval
from headstart.pipeline.evaluation.intervals import group_weights, percentile, wilson
from headstart.pipeline.evaluation.weighted import Sample, Statistics

SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; `roc_auc` is None if one of the two sides has no images."""

    precision: float
    recall: float
    f1: float
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

    def to_dict(self) -> dict[str, object]:
        """The content of `metrics.json`: numbers, None and nested dictionaries of them."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "roc_auc": self.roc_auc,
            "log_loss": self.log_loss,
            "images": self.images,
            **({} if self.groups is None else {"groups": self.groups}),
            "classes": {name: asdict(values) for name, values in self.per_class.items()},
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
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

    The predicted class is the most probable one, the first if several tie. A class without images
    gets 0 in its own row (`zero_division=0`) and is left out of balanced accuracy and the mean AUC,
    and of macro F1 unless it was predicted. AUC is that of class 1 for two classes, else the mean of
    one-vs-rest.

    Args:
        labels: int64 [N], indices into `classes`.
        probabilities: [N, C] in [0, 1], rows that sum to 1.
        classes: the C names, at least two.
        confidence: level of the intervals, in (0, 1): Wilson's for the accuracy, percentiles of the
            bootstrap for the rest.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.
        groups: the group of each image; intervals then count groups, by the cluster bootstrap, since images
            of one group are alike.

    Raises:
        DataError: there are no images.
        HeadstartError: probabilities are not finite, not in [0, 1] or do not sum to 1.
        ValueError: the shapes, labels, confidence or resamples are invalid.
    """
    probabilities = np.asarray(probabilities, np.float64)
    _check(labels, probabilities, classes, confidence, resamples)
    sample = Sample.of(labels, probabilities)
    matrix = confusion_matrix(labels, sample.predicted, len(classes))
    images, hits = len(labels), int(np.trace(matrix))
    point = sample.statistics(np.ones((images, 1), np.int64))
    return Metrics(
        accuracy=hits / images,
        balanced_accuracy=float(point.balanced_accuracy[0]),
        macro_f1=float(point.macro_f1[0]),
        log_loss=float(point.log_loss[0]),
        roc_auc=_defined(point.roc_auc[0]),
        per_class=_per_class(matrix, sample.class_aucs(), classes),
        intervals=_intervals(sample, labels, groups, confidence, resamples, seed),
        images=images,
        confidence=confidence,
        groups=None if groups is None else len(set(groups)),
    )


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes_count: int
) -> NDArray[np.int64]:
    """Counts, int64 [C, C]: rows are true classes, columns predicted ones."""
    cells = np.bincount(labels * classes_count + predicted, minlength=classes_count**2)
    return cells.reshape(classes_count, classes_count).astype(np.int64)


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
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    return {
        name: ClassMetrics(
            float(precision[i]), float(recall[i]), float(f1[i]), _defined(aucs[i]), int(support[i])
        )
        for i, name in enumerate(classes)
    }


def _intervals(
    sample: Sample,
    labels: NDArray[np.int64],
    groups: Sequence[str] | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    right = sample.predicted == labels
    alike = np.arange(len(labels))
    if groups is not None:
        alike = np.unique(np.asarray(groups), return_inverse=True)[1]
    statistics, accuracies = [], []
    for weights in group_weights(alike, resamples, seed):
        statistics.append(sample.statistics(weights))
        accuracies.append(weights[right].sum(axis=0) / weights.sum(axis=0))
    if groups is None:
        accuracy = wilson(int(right.sum()), len(labels), confidence)
    else:
        accuracy = _accuracy_of_groups(right, alike, np.concatenate(accuracies), confidence)
    found = {"accuracy": accuracy}
    for name, values in zip(Statistics._fields, np.concatenate(statistics, axis=1), strict=True):
        if (interval := percentile(values, confidence)) is not None:
            found[name] = interval
    return found


def _accuracy_of_groups(
    right: NDArray[np.bool_], numbers: NDArray[np.int64], shares: NDArray[np.float64], confidence: float
) -> Interval:
    """Percentiles of the cluster bootstrap; Wilson's over groups if no resample differs from another."""
    if right.all() or not right.any():
        count = int(numbers.max()) + 1
        return wilson(count if right.all() else 0, count, confidence)
    interval = percentile(shares, confidence)
    assert interval is not None
    return interval


def _defined(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
