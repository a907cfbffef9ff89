"""Thresholds, refusals and curves, compared with a search of every possibility and with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from headstart.errors import ParamsError
from headstart.pipeline.evaluation.costs import costs_of
from headstart.pipeline.evaluation.decisions import (
    accuracy_by_coverage,
    best_threshold,
    corner_thresholds,
    costs_at,
    errors_at,
    mean_interval,
    pr_curve,
    refusal,
)


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, higher for the positives on average."""
    random = np.random.default_rng(seed)
    positives = random.random(count) < 0.4
    scores = np.clip(np.round(random.normal(0.4 + 0.25 * positives, 0.25), 2), 0, 1)
    return scores, positives


@pytest.mark.parametrize("seed", range(4))
def test_precision_and_recall_are_scikit_learns(seed: int) -> None:
    scores, positives = drawn(80, seed)
    precision, recall, _ = precision_recall_curve(positives, scores)
    found = pr_curve(scores, positives)
    assert found.recall == pytest.approx(recall[::-1][1:])
    assert found.precision == pytest.approx(precision[::-1][1:])
    assert found.average == pytest.approx(average_precision_score(positives, scores))


@pytest.mark.parametrize(("missed", "alarm"), [(1.0, 1.0), (10.0, 1.0), (1.0, 7.0)])
@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_costs_less_than_the_best(seed: int, missed: float, alarm: float) -> None:
    scores, positives = drawn(60, seed)
    best = errors_at(scores, positives, best_threshold(scores, positives, missed, alarm), missed, alarm)
    every = [errors_at(scores, positives, t, missed, alarm).cost for t in np.linspace(0, 1.01, 1000)]
    assert best.cost <= min(every) + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_one_of_few_thresholds_costs_least_whatever_mistakes_cost(seed: int) -> None:
    scores, positives = drawn(200, seed)
    corners = corner_thresholds(scores, positives)
    assert len(corners) < 20
    for missed in (0.01, 0.3, 1.0, 4.0, 500.0):
        best = errors_at(scores, positives, best_threshold(scores, positives, missed, 1.0), missed, 1.0)
        costs = [errors_at(scores, positives, value, missed, 1.0).cost for value in corners]
        assert min(costs) == pytest.approx(best.cost)


def test_of_equal_thresholds_the_nearest_to_that_of_exact_probabilities_is_taken() -> None:
    positives = np.array([False, True, False, True])
    assert best_threshold(np.array([0.1, 0.2, 0.3, 0.4]), positives, 1, 1) == pytest.approx(0.35)
    assert best_threshold(np.array([0.6, 0.7, 0.8, 0.9]), positives, 1, 1) == pytest.approx(0.65)
    assert best_threshold(np.array([0.1, 0.2, 0.3, 0.4]), positives, 1.001, 1) == pytest.approx(0.15)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_threshold_is_a_corner_whatever_mistakes_cost(seed: int) -> None:
    scores, positives = drawn(60, seed)
    corners = corner_thresholds(scores, positives)
    assert all(best_threshold(scores, positives, cost, 1) in corners for cost in (0.001, 0.5, 1, 3, 1e6))


def test_the_thresholds_of_both_classes_mirror_each_other() -> None:
    scores, positives = drawn(60)
    own, other = corner_thresholds(scores, positives), corner_thresholds(1 - scores, ~positives)
    assert own == pytest.approx(1 - other[::-1])


def test_a_validation_split_of_one_class_has_a_threshold() -> None:
    scores = np.array([0.2, 0.6, 1.0])
    none, every = np.zeros(3, np.bool_), np.ones(3, np.bool_)
    assert errors_at(scores, every, best_threshold(scores, every, 1, 1), 1, 1).cost == 0
    never = best_threshold(scores, none, 1, 1)
    assert never > 1
    assert errors_at(scores, none, never, 1, 1).cost == 0


def test_costs_count_both_kinds_of_mistakes() -> None:
    scores, positives = np.array([0.2, 0.7, 0.4, 0.9]), np.array([True, True, False, False])
    assert costs_at(scores, positives, 0.5, 10, 3).tolist() == [10, 0, 0, 3]
    assert errors_at(scores, positives, 0.5, 10, 3) == (1, 1, 13 / 4)


def test_costs_are_named_by_class() -> None:
    assert costs_of(None, ["a", "b", "c"]) == [1, 1, 1]
    assert costs_of({"b": 5.0}, ["a", "b"]) == [1, 5]
    with pytest.raises(ParamsError, match=r"evaluate\.costs: there is no class 'bb'; did you mean b"):
        costs_of({"bb": 5.0}, ["bbb", "b"])
    with pytest.raises(ParamsError, match=r"evaluate\.costs: there are 3 classes"):
        costs_of({"b": 5.0}, ["a", "b", "c"])


def test_a_refusal_takes_the_share_that_was_wanted() -> None:
    known = np.random.default_rng(0).random(1000)
    for rate in (0.05, 0.2):
        assert (~refusal(known, rate, known).answered).sum() == 1000 * rate
    tied = np.ones(50)
    assert refusal(tied, 0.2, tied).answered.all()
    assert refusal(np.array([0.5]), 0.2, np.array([0.4, 0.6])).answered.tolist() == [False, True]


def test_accuracy_by_coverage_starts_with_the_surest_and_ends_with_all() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.5])
    coverage, accuracy = accuracy_by_coverage(scores, np.array([True, True, False, False]))
    assert coverage.tolist() == [0.25, 0.75, 1]
    assert accuracy.tolist() == pytest.approx([1, 2 / 3, 0.5])


def test_an_interval_of_a_mean_is_wider_if_images_come_in_groups() -> None:
    values = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0], 20)
    alone = mean_interval(values, [str(i) for i in range(100)], 0.95, 400, 0)
    grouped = mean_interval(values, [str(i // 20) for i in range(100)], 0.95, 400, 0)
    assert alone.low < 0.6 < alone.high
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
