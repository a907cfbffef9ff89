import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics as oracle

from headstart.errors import DamagedFile, DataError, HeadstartError
from headstart.pipeline.evaluation import intervals
from headstart.pipeline.evaluation.figures import read_classes, read_headline, write_figures
from headstart.pipeline.evaluation.metrics import (
    ClassMetrics,
    Metrics,
    classification_metrics,
    confusion_matrix,
    roc_curve,
)

Sample = tuple[NDArray[np.int64], NDArray[np.float64]]


def draw(seed: int, classes: int, images: int = 120, steps: int = 12) -> Sample:
    """Labels and probabilities in multiples of 1/steps, so that many scores tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    odds = np.full((images, classes), 1.0)
    odds[np.arange(images), labels] += 2
    return labels, rng.multinomial(steps, odds / odds.sum(axis=1, keepdims=True)) / steps


def measure(sample: Sample, resamples: int = 200, seed: int = 0) -> Metrics:
    labels, probabilities = sample
    names = [f"class {i}" for i in range(probabilities.shape[1])]
    return classification_metrics(
        labels, probabilities, names, confidence=0.9, resamples=resamples, seed=seed
    )


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn(seed: int, classes: int) -> None:
    labels, probabilities = draw(seed, classes)
    predicted = probabilities.argmax(axis=1)
    ours = measure((labels, probabilities))
    scores = probabilities[:, 1] if classes == 2 else probabilities
    assert ours.accuracy == oracle.accuracy_score(labels, predicted)
    assert ours.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(labels, predicted))
    assert ours.macro_f1 == pytest.approx(oracle.f1_score(labels, predicted, average="macro"))
    assert ours.log_loss == pytest.approx(oracle.log_loss(labels, probabilities))
    assert ours.roc_auc == pytest.approx(oracle.roc_auc_score(labels, scores, multi_class="ovr"))
    assert ours.images == len(labels)


@pytest.mark.parametrize("classes", [2, 5])
def test_classes_agree_with_scikit_learn(classes: int) -> None:
    labels, probabilities = draw(11, classes)
    theirs = oracle.precision_recall_fscore_support(labels, probabilities.argmax(axis=1))
    for index, ours in enumerate(measure((labels, probabilities)).per_class.values()):
        expected = [column[index] for column in theirs]
        assert [ours.precision, ours.recall, ours.f1, ours.support] == pytest.approx(expected)
        auc = oracle.roc_auc_score(labels == index, probabilities[:, index])
        assert ours.roc_auc == pytest.approx(auc)


@pytest.mark.parametrize("predict_it", [True, False])
def test_class_without_images(predict_it: bool) -> None:
    labels, probabilities = draw(3, 4)
    labels[labels == 2] = 0
    if not predict_it:
        probabilities[:, 3] += probabilities[:, 2]
        probabilities[:, 2] = 0
    predicted = probabilities.argmax(axis=1)
    ours = measure((labels, probabilities))
    absent = ours.per_class["class 2"]
    none_found = 0 if predict_it else None
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (none_found, None, none_found, 0)
    assert absent.roc_auc is None
    present = [oracle.roc_auc_score(labels == index, probabilities[:, index]) for index in (0, 1, 3)]
    assert ours.roc_auc == pytest.approx(np.mean(present))
    assert ours.macro_f1 == pytest.approx(
        oracle.f1_score(labels, predicted, average="macro", zero_division=0)
    )
    assert ours.balanced_accuracy == pytest.approx(
        oracle.recall_score(labels, predicted, labels=[0, 1, 3], average="macro")
    )


def test_one_class_alone_has_no_auc() -> None:
    ours = measure((np.zeros(8, np.int64), np.tile([0.75, 0.25], (8, 1))))
    assert ours.roc_auc is None
    assert set(ours.intervals) == {"accuracy", "balanced_accuracy", "macro_f1", "log_loss"}
    assert ours.log_loss == pytest.approx(-math.log(0.75))


@pytest.mark.parametrize("label", [0, 1])
def test_certainty_is_clipped(label: int) -> None:
    labels, probabilities = np.array([label, label]), np.array([[0.0, 1.0], [0.0, 1.0]])
    theirs = oracle.log_loss(labels, probabilities, labels=[0, 1])
    assert measure((labels, probabilities)).log_loss == pytest.approx(theirs, rel=1e-9, abs=0)


@pytest.mark.parametrize(("hits", "images"), [(0, 7), (7, 7), (40, 50), (3, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_agrees_with_scipy(hits: int, images: int, confidence: float) -> None:
    theirs = binomtest(hits, images).proportion_ci(confidence, method="wilson")
    ours = intervals.wilson(hits, images, confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_ends_of_wilsons_interval_are_reached_and_not_nearly() -> None:
    for images in range(1, 3000):
        assert intervals.wilson(images, images, 0.95).high == 1
        assert intervals.wilson(0, images, 0.95).low == 0


def test_bootstrap_is_that_of_resampled_rows() -> None:
    labels, probabilities = draw(5, 3, images=40)
    rng = np.random.default_rng(9)
    drawn = (rng.integers(0, 40, 40) for _ in range(50))
    values = [oracle.log_loss(labels[rows], probabilities[rows], labels=range(3)) for rows in drawn]
    ours = measure((labels, probabilities), resamples=50, seed=9).intervals["log_loss"]
    assert [ours.low, ours.high] == pytest.approx(np.quantile(values, [0.05, 0.95]))


@pytest.mark.parametrize(("hits", "images"), [(0, 7), (7, 7), (40, 50), (3, 1000)])
def test_exact_agrees_with_scipy(hits: int, images: int) -> None:
    theirs = binomtest(hits, images).proportion_ci(0.95, method="exact")
    ours = intervals.exact(hits, images, 0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_interval_of_a_mean_of_equal_figures_shrinks_unless_they_move_together() -> None:
    each = [intervals.Interval(0.6, 0.9)] * 4
    estimates = np.full(4, 0.8)
    together = intervals.of_mean(estimates, each, np.ones((4, 4)))
    apart = intervals.of_mean(estimates, each, np.eye(4))
    assert (together.low, together.high) == pytest.approx((0.6, 0.9))
    assert (apart.low, apart.high) == pytest.approx((0.7, 0.85))


def test_the_ends_of_an_auc_are_where_the_score_is_that_of_the_level() -> None:
    """Newcombe's example has no closed form; at the ends, the distance is z standard errors of the end."""
    found = intervals.of_auc(0.9, 30, 50, 0.95)
    for end in (found.low, found.high):
        spread = 1 + 39 * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(0.9 - end) == pytest.approx(
            1.959964 * math.sqrt(end * (1 - end) * spread / 1500), rel=1e-6
        )
    assert found.low < 0.9 < found.high


@pytest.mark.parametrize("classes", [2, 8])
def test_no_mistake_is_no_certainty(classes: int) -> None:
    """92 of 92 right: every interval begins below 1."""
    labels = np.arange(92) % classes
    found = measure((labels, np.eye(classes)[labels])).intervals
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc"):
        assert 0.8 < found[name].low < 0.985
        assert found[name].high == pytest.approx(1)


@pytest.mark.parametrize(("classes", "signal"), [(2, 2.9), (6, 3.5)])
def test_intervals_cover_the_truth(classes: int, signal: float) -> None:
    """Near 1, where percentiles of the bootstrap cover in at most 85 of 100 (`bench/intervals.py`)."""
    rng = np.random.default_rng(0)

    def sample(images: int) -> Metrics:
        labels = rng.integers(0, classes, images)
        scores = 3 * (rng.normal(size=(images, classes)) + signal * np.eye(classes)[labels])
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return classification_metrics(
            labels,
            odds / odds.sum(axis=1, keepdims=True),
            [str(index) for index in range(classes)],
            confidence=0.95,
            resamples=1,
            seed=0,
        )

    truth = sample(100_000)
    found = [sample(92) for _ in range(200)]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc"):
        true = getattr(truth, name)
        covered = sum(each.intervals[name].low <= true <= each.intervals[name].high for each in found)
        assert covered >= 180, name


def test_same_bits_and_another_seed_other_bits() -> None:
    sample = draw(1, 5)
    assert measure(sample) == measure(sample)
    assert measure(sample, seed=1).intervals["log_loss"] != measure(sample).intervals["log_loss"]


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(intervals.weights_of(30, 20, 4)), axis=1)
    monkeypatch.setattr(intervals, "BLOCK", 100)
    blocks = list(intervals.weights_of(30, 20, 4))
    assert max(block.size for block in blocks) <= 100
    assert np.array_equal(np.concatenate(blocks, axis=1), whole)


@pytest.mark.parametrize("names", [("class 0", "NA", "3"), ("a,b", 'c"d', "é"), ("a\rb", "c\nd", " e")])
def test_figures_are_read_as_they_were_written(names: tuple[str, ...], tmp_path: Path) -> None:
    labels, probabilities = draw(3, 3)
    labels = np.minimum(labels, 1)  # the last class has no images, so its AUC is None
    found = classification_metrics(labels, probabilities, names, confidence=0.9, resamples=9, seed=0)
    write_figures(found, tmp_path)
    read = read_headline(tmp_path)
    scores = {"accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss"}
    assert set(read) == {*scores, "images", "intervals"}
    assert {name: read[name] for name in scores} == {name: getattr(found, name) for name in scores}
    assert read["intervals"] == {name: asdict(bounds) for name, bounds in found.intervals.items()}
    assert read_classes(tmp_path) == found.per_class
    assert found.per_class[names[2]].recall is found.per_class[names[2]].roc_auc is None


def test_a_class_that_is_never_predicted_has_no_precision(tmp_path: Path) -> None:
    found = measure((np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])))
    assert found.per_class["class 1"] == ClassMetrics(None, 0.0, 0.0, 1.0, 1)
    write_figures(found, tmp_path)
    [row] = [each for each in (tmp_path / "classes.csv").read_text().splitlines() if "class 1" in each]
    assert row.split(",")[1:] == ['""', "0.0", "0.0", "1.0", "1"]


def test_figures_of_earlier_versions_are_read(tmp_path: Path) -> None:
    own = {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "roc_auc": None, "support": 2}
    bounds = {"accuracy": {"low": 0.1, "high": 0.9}}
    earlier = {"accuracy": 0.5, "images": 4, "classes": {"a": own}, "intervals": bounds}
    (tmp_path / "metrics.json").write_text(json.dumps(earlier))
    assert read_headline(tmp_path) == {"accuracy": 0.5, "images": 4, "intervals": bounds}
    assert read_classes(tmp_path) == {"a": ClassMetrics(**own)}  # type: ignore[arg-type]


def test_a_table_of_classes_that_was_cut_off_is_named(tmp_path: Path) -> None:
    write_figures(measure(draw(2, 2)), tmp_path)
    table = (tmp_path / "classes.csv").read_text()
    (tmp_path / "classes.csv").write_text(table[: len(table) // 2])
    with pytest.raises(DamagedFile, match=r"classes\.csv: it is cut off or damaged"):
        read_classes(tmp_path)


def test_confusion_agrees_with_scikit_learn() -> None:
    labels, probabilities = draw(6, 5)
    predicted = np.minimum(probabilities.argmax(axis=1), 3)
    theirs = oracle.confusion_matrix(labels, predicted, labels=range(5))
    assert np.array_equal(confusion_matrix(labels, predicted, 5), theirs)


@pytest.mark.parametrize("steps", [2, 12, 100_000])
def test_roc_curve_agrees_with_scikit_learn(steps: int) -> None:
    labels, probabilities = draw(7, 2, steps=steps)
    ours = roc_curve(probabilities[:, 1], labels == 1)
    theirs = oracle.roc_curve(labels, probabilities[:, 1], drop_intermediate=True)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other)


def test_roc_curve_of_one_score_is_the_diagonal() -> None:
    curve = roc_curve(np.full(6, 0.5), np.arange(6) < 2)
    assert curve.false_positive_rate.tolist() == curve.true_positive_rate.tolist() == [0, 1]
    assert np.isnan(roc_curve(np.arange(3.0), np.zeros(3, np.bool_)).true_positive_rate).all()


@pytest.mark.parametrize(
    ("labels", "rows", "error"),
    [
        ([], [], DataError),
        ([0, 1], [[0.5, 0.5]], ValueError),
        ([2], [[0.5, 0.5]], ValueError),
        ([0], [[float("nan"), 0.5]], HeadstartError),
        ([0], [[1.5, -0.5]], HeadstartError),
        ([0], [[0.2, 0.2]], HeadstartError),
    ],
)
def test_refuses(labels: list[int], rows: list[list[float]], error: type[Exception]) -> None:
    with pytest.raises(error):
        measure((np.array(labels, np.int64), np.array(rows, np.float64).reshape(-1, 2)))


def drawn_alike(groups: int, images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities and groups: all images of one group are right or wrong together."""
    random = np.random.default_rng(seed)
    labels = np.repeat(random.integers(0, 2, groups), images)
    right = np.repeat(random.random(groups) < 0.8, images)
    share = np.where(right == (labels == 1), 0.9, 0.1)
    return (
        labels,
        np.column_stack([1 - share, share]),
        [f"g{n}" for n in range(groups) for _ in range(images)],
    )


def interval_of(
    labels: np.ndarray, probabilities: np.ndarray, groups: list[str] | None
) -> intervals.Interval:
    found = classification_metrics(
        labels, probabilities, ("a", "b"), confidence=0.95, resamples=1000, seed=0, groups=groups
    )
    assert found.groups == (None if groups is None else len(set(groups)))
    return found.intervals["accuracy"]


def test_intervals_count_groups_that_are_alike() -> None:
    """With groups of equal images it is the interval of one image per group, whatever their number."""
    labels, probabilities, groups = drawn_alike(40, 6)
    clustered, images = interval_of(labels, probabilities, groups), interval_of(labels, probabilities, None)
    alone = interval_of(labels[::6], probabilities[::6], groups[::6])
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high), abs=0.003)
    assert clustered.high - clustered.low > 1.8 * (images.high - images.low)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "roc_auc", "log_loss"])
def test_every_interval_counts_groups(name: str) -> None:
    labels, probabilities, groups = drawn_alike(40, 6)
    found = [
        classification_metrics(
            labels, probabilities, ("a", "b"), confidence=0.95, resamples=500, seed=0, groups=each
        ).intervals[name]
        for each in (groups, None)
    ]
    clustered, images = found
    assert clustered.high - clustered.low > 1.6 * (images.high - images.low)


def test_intervals_of_groups_cover_the_truth() -> None:
    covered = 0
    for seed in range(200):
        labels, probabilities, groups = drawn_alike(60, 4, seed)
        interval = interval_of(labels, probabilities, groups)
        covered += interval.low <= 0.8 <= interval.high
    assert 0.88 < covered / 200 < 0.99


def test_groups_without_any_mistake_still_have_an_interval() -> None:
    labels, groups = np.repeat([0, 1], 30), [f"g{n}" for n in range(10) for _ in range(6)]
    probabilities = np.column_stack([labels == 0, labels == 1]).astype(np.float64)
    found = interval_of(labels, probabilities, groups)
    assert (found.low, found.high) == (intervals.wilson(10, 10, 0.95).low, 1.0)
