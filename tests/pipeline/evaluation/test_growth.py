"""The probe, its learning curve and its cross-validation, on drawn vectors whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.pipeline.evaluation.intervals import Interval
from headstart.pipeline.evaluation.probe import fit, sums_of
from headstart.pipeline.evaluation.sections import folds
from headstart.pipeline.evaluation.sections.folds import cross_validate, folds_of
from headstart.pipeline.evaluation.sections.growth import Growth, _gains, entries_of, gain, grow, hindrance
from headstart.pipeline.evaluation.sections.learning_curve import SCATTERED, UNKNOWN, comparison, sentence
from headstart.pipeline.evaluation.sections.learning_curve_plots import curve_png

WIDTH = 20


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "REPEATS", 4)


def draw(count: int, classes: int, seed: int, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of a normal distribution around a centre per class, the same for all seeds."""
    centres = apart * np.random.default_rng(0).normal(size=(classes, WIDTH))
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    return (centres[labels] + random.normal(size=(count, WIDTH))).astype(np.float32), labels


def test_the_probe_learns_what_can_be_learnt() -> None:
    vectors, labels = draw(900, 3, seed=1)
    asked, truth = draw(900, 3, seed=2)
    probe = fit(sums_of(vectors, labels, 3))
    centres = np.random.default_rng(0).normal(size=(3, WIDTH))
    best = ((asked[:, None] - centres) ** 2).sum(2).argmin(1)  # no classifier is better
    assert (probe.classes_of(asked) == truth).mean() > (best == truth).mean() - 0.02


def test_sums_of_parts_give_the_fit_of_the_whole() -> None:
    vectors, labels = draw(300, 3, seed=3)
    first, second = sums_of(vectors[:200], labels[:200], 3), sums_of(vectors[200:], labels[200:], 3)
    whole = fit(sums_of(vectors, labels, 3))
    assert np.allclose(fit(first + second).weights, whole.weights, rtol=1e-3, atol=1e-5)
    less = fit(first + second - second)
    assert np.allclose(less.weights, fit(first).weights, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_image_per_class_a_missing_class_and_constant_numbers_do_no_harm(count: int) -> None:
    vectors, labels = draw(count, 2, seed=4)
    vectors[:, 0] = 7
    found = fit(sums_of(vectors, labels, 4)).classes_of(vectors)
    assert set(found.tolist()) <= set(labels.tolist())


def test_portions_grow_keep_families_and_shares_of_classes() -> None:
    random = np.random.default_rng(5)
    families = random.integers(0, 60, 400)
    labels = families % 3
    entries = entries_of(labels, families, random)
    for share in (0.1, 0.4, 1.0):
        inside = entries < share
        for family in range(60):
            assert len(set(inside[families == family].tolist())) <= 1
        for label in range(3):
            assert share <= inside[labels == label].mean() <= share + 0.15
    assert (entries < 1).all()


def test_every_class_is_in_the_smallest_part() -> None:
    labels = np.array([0] * 97 + [1] * 2 + [2])
    entries = entries_of(labels, np.arange(100), np.random.default_rng(6))
    assert set(labels[entries < 0.1].tolist()) == {0, 1, 2}


def growth_of(count: int, seed: int) -> tuple[Growth, np.ndarray]:
    vectors, labels = draw(count + 400, 5, seed, apart=0.6)
    train = np.arange(len(labels)) < count
    test = np.flatnonzero(~train)
    return grow(vectors, labels, np.arange(len(labels)), train, test, 5, seed), np.arange(400)


def test_the_curve_rises_and_twice_the_images_give_about_what_was_expected() -> None:
    growth, groups = growth_of(150, seed=7)
    means = growth.accuracies.mean(0)
    assert growth.sizes[-1] == 150
    assert means[-1] > means[0] + 0.1
    expected = gain(growth, groups, 0.95, 0)
    assert expected is not None
    truths = []
    for seed in range(100, 120):
        twice, _ = growth_of(300, seed)
        once, _ = growth_of(150, seed)
        truths.append(twice.accuracies[0, -1] - once.accuracies[0, -1])
    assert expected.low <= np.mean(truths) <= expected.high


def test_the_same_seed_gives_the_same_curve() -> None:
    first, groups = growth_of(100, seed=8)
    again, _ = growth_of(100, seed=8)
    assert (first.right == again.right).all()
    assert gain(first, groups, 0.9, 1) == gain(again, groups, 0.9, 1)


def test_a_power_law_is_continued() -> None:
    sizes = np.array([10.0, 20, 40, 70, 100])
    errors = np.tile(2 * sizes**-0.5, (2, 1))
    assert np.allclose(_gains(sizes, errors), 0.2 - 2 * 200**-0.5)
    floored = np.tile(0.1 + 2 * sizes**-0.7, (2, 1))
    with_floor = _gains(sizes, floored)[0]
    assert abs(with_floor - (2 * 100**-0.7 - 2 * 200**-0.7)) < 0.003


def test_too_few_images_say_nothing() -> None:
    growth, groups = growth_of(40, seed=9)
    assert gain(growth, groups, 0.95, 0) is None
    assert hindrance(growth, groups) == "it takes 10 training images per class, and there are 8 on average"
    assert "there are 9.9 on average" in hindrance(replace(growth, sizes=np.array([49.8]), classes=5), groups)
    growth, groups = growth_of(150, seed=9)
    assert not hindrance(growth, groups)
    assert gain(growth, groups // 20, 0.95, 0) is None
    assert hindrance(growth, groups // 20) == "it takes 30 independent test images, and there are 20"
    few = Growth(growth.sizes[:3], growth.right[:, :3], 1)
    assert gain(few, groups, 0.95, 0) is None
    assert "into 3 sizes only" in hindrance(few, groups)


def test_an_easy_set_promises_nothing_and_is_drawn() -> None:
    vectors, labels = draw(1000, 4, seed=12, apart=6.0)
    growth = grow(vectors, labels, np.arange(1000), np.arange(1000) < 400, np.arange(400, 1000), 4, 0)
    assert growth.accuracies[0, -1] == 1
    assert gain(growth, np.arange(600), 0.95, 0) is None
    assert hindrance(growth, np.arange(600)) == "the probe makes no mistake any more"
    png = curve_png(growth.sizes, growth.accuracies, 1.0, Interval(0.001, 0.002))  # beyond 1
    assert png.startswith(b"\x89PNG")


def test_no_more_is_promised_than_is_missing() -> None:
    random = np.random.default_rng(14)
    right = random.random((10, 5, 92)) > np.array([0.165, 0.086, 0.053, 0.038, 0.0])[:, None]
    right[:, -1] = True
    right[:, -1, 0] = False  # one of 92 is left
    found = gain(Growth(np.array([29.0, 57, 114, 199, 283]), right, 2), np.arange(92), 0.95, 0)
    assert found is not None
    assert found.low < found.high == pytest.approx(1 / 92)


def test_cross_validation_without_a_mistake_is_no_certainty() -> None:
    vectors, labels = draw(30, 2, seed=13, apart=8.0)
    found = cross_validate(vectors, labels, np.arange(30), 2, 3, 0.95, 0)
    assert found.accuracy == 1
    assert found.interval.low < 0.95


def test_sentences_state_the_range() -> None:
    assert sentence(None, 0.95) == f"{UNKNOWN}: {SCATTERED}."
    assert "about 1.0 to 3.0 points of accuracy (95% interval)" in sentence(Interval(0.01, 0.03), 0.95)
    assert "at most about 3.0 points" in sentence(Interval(-0.01, 0.03), 0.95)
    assert "next to nothing" in sentence(Interval(-0.01, 0.0), 0.95)


def test_head_and_probe_differ_only_beyond_chance() -> None:
    probe, head = np.ones(100, bool), np.ones(100, bool)
    head[:3] = False
    every = np.arange(100)
    assert "within chance" in comparison(probe, head, every, 0.95)
    head[:12] = False
    assert "The probe makes more" in comparison(probe, head, every, 0.95)
    assert "The head makes more" in comparison(head, probe, every, 0.95)
    assert "within chance" in comparison(head, probe, every // 50, 0.95)


def test_folds_keep_families_and_classes_are_spread() -> None:
    families = np.repeat(np.arange(50), 4)
    labels = families % 2
    found = folds_of(labels, families, 5, np.random.default_rng(10))
    assert all(len(set(found[families == family].tolist())) == 1 for family in range(50))
    assert [(found[labels == 0] == fold).sum() for fold in range(5)] == [20] * 5


def test_the_interval_of_cross_validation_is_wider_than_the_usual_one_and_holds_the_truth() -> None:
    """On few images, where the usual one is too narrow."""
    asked, truth = draw(4000, 3, seed=11, apart=0.35)
    covered, wider = 0, []
    for seed in range(15):
        vectors, labels = draw(90, 3, seed + 20, apart=0.35)
        found = cross_validate(vectors, labels, np.arange(90), 3, 5, 0.95, seed)
        accuracy = (fit(sums_of(vectors, labels, 3)).classes_of(asked) == truth).mean()
        covered += bool(found.interval.low <= accuracy <= found.interval.high)
        usual = 1.96 * (found.accuracy * (1 - found.accuracy) / 90) ** 0.5
        wider.append((found.interval.high - found.interval.low) / (2 * usual))
    assert covered >= 11
    assert min(wider) > 0.9
    assert np.mean(wider) > 1.05


def test_images_of_one_family_are_never_learnt_from() -> None:
    """Pairs of equal vectors with random labels: only a leak could label them."""
    random = np.random.default_rng(12)
    vectors = np.repeat(random.normal(size=(60, 100)), 2, axis=0).astype(np.float32)
    labels = np.repeat(random.integers(0, 2, 60), 2)
    families = np.repeat(np.arange(60), 2)
    apart = cross_validate(vectors, labels, families, 2, 5, 0.95, 0)
    leaking = cross_validate(vectors, labels, np.arange(120), 2, 5, 0.95, 0)
    assert apart.accuracy < 0.65
    assert leaking.accuracy > 0.8
