"""The metrics of one set of images under many weightings at once, as a bootstrap needs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Statistics(NamedTuple):
    """Float64 [B] each: a metric under each of B weightings, NaN if it is undefined."""

    balanced_accuracy: NDArray[np.float64]
    macro_f1: NDArray[np.float64]
    roc_auc: NDArray[np.float64]
    log_loss: NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """One class's scores in ascending order: int64 [N], and [P] each for its P images."""

    order: NDArray[np.int64]
    positives: NDArray[np.int64]
    below: NDArray[np.int64]
    upto: NDArray[np.int64]

    @classmethod
    def of(cls, scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> "Ranked":
        order = np.argsort(scores, kind="stable")
        own = scores[positives]
        return cls(
            order=order,
            positives=np.flatnonzero(positives),
            below=np.searchsorted(scores[order], own, side="left"),
            upto=np.searchsorted(scores[order], own, side="right"),
        )

    def auc(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """Area under the ROC curve by midranks, float64 [B]; NaN if a side has no weight.

        Counts in integers until the single division, so that neither ties nor the order of summation
        change a bit.

        Source: H. Mann, D. Whitney, On a test of whether one of two random variables is
        stochastically larger than the other, 1947.
        """
        total = np.zeros((len(weights) + 1, weights.shape[1]), np.int64)
        np.cumsum(weights[self.order], axis=0, out=total[1:])
        own = weights[self.positives]
        positive = own.sum(axis=0)
        # Twice the midranks, summed; pairs of two positives make up positive**2 of them.
        doubled = (own * (total[self.below] + total[self.upto])).sum(axis=0) - positive**2
        with np.errstate(invalid="ignore"):
            area: NDArray[np.float64] = doubled / (2 * positive * (total[-1] - positive))
        return area


@dataclass(frozen=True)
class Sample:
    """Labels and predictions int64 [N], losses float64 [N] in nats, and every class's ranking."""

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    losses: NDArray[np.float64]
    ranked: tuple[Ranked, ...]

    @classmethod
    def of(cls, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> "Sample":
        """Everything that does not depend on the weights, from float64 [N, C] probabilities."""
        tiny = np.finfo(np.float64).eps
        clipped = np.clip(probabilities, tiny, 1 - tiny)
        return cls(
            labels=labels,
            predicted=np.argmax(probabilities, axis=1),
            losses=-np.log(clipped[np.arange(len(labels)), labels]),
            ranked=tuple(Ranked.of(scores, labels == index) for index, scores in enumerate(probabilities.T)),
        )

    def statistics(self, weights: NDArray[np.int64]) -> Statistics:
        """The metrics under weights int64 [N, B]: how often each image counts."""
        hits = self._per_class(weights, self.labels, self.predicted == self.labels)
        support = self._per_class(weights, self.labels)
        predicted = self._per_class(weights, self.predicted)
        with np.errstate(invalid="ignore"):
            recall, f1 = hits / support, 2 * hits / (support + predicted)
        return Statistics(
            balanced_accuracy=_mean_of_defined(recall),
            macro_f1=_mean_of_defined(f1),
            roc_auc=self._auc(weights),
            log_loss=(self.losses[:, None] * weights).sum(axis=0) / weights.sum(axis=0),
        )

    def class_aucs(self) -> NDArray[np.float64]:
        """One-vs-rest AUC of every class, float64 [C]; NaN if one side has no images."""
        once = np.ones((len(self.labels), 1), np.int64)
        return np.array([ranked.auc(once)[0] for ranked in self.ranked])

    def _auc(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        if len(self.ranked) == 2:
            return self.ranked[1].auc(weights)
        return _mean_of_defined(np.array([ranked.auc(weights) for ranked in self.ranked]))

    def _per_class(
        self,
        weights: NDArray[np.int64],
        members: NDArray[np.int64],
        chosen: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        kept = np.ones(len(members), np.bool_) if chosen is None else chosen
        rows = [weights[kept & (members == index)].sum(axis=0) for index in range(len(self.ranked))]
        return np.array(rows)


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis, ignoring NaN; NaN if all values are."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)
    return mean
