"""The gate's check of each class: its error rate, what it finds, and what too few images cannot show."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sections import section

from headstart.pipeline.evaluation.paired_difference import Flags, difference
from headstart.versions.release.class_checks import worst_class
from headstart.versions.release.class_tests import changes_of, corrected_levels, p_worse
from headstart.versions.release.decision import Check

GATE = section("gate", class_margin=0.15, confidence=0.9, min_class_images=10)


def names(classes: int, images: int) -> list[str]:
    return [f"class {number}" for number in range(classes) for _ in range(images)]


def losing(lost: int, images: int, classes: int = 1, won: int = 0) -> Check:
    """The check if the candidate loses and wins images of class 0, and is otherwise as the champion."""
    champion = np.ones(classes * images, np.bool_)
    candidate = champion.copy()
    candidate[:lost] = False
    champion[lost : lost + won] = False
    return worst_class(names(classes, images), candidate, champion, GATE)


def drawn(random: np.random.Generator, shape: tuple[int, int]) -> Flags:
    return np.asarray(random.random(shape) < 0.9)


def test_two_equally_good_models_pass_however_many_classes_there_are() -> None:
    """Each is right in 90 of 100, and their errors have nothing in common."""
    random = np.random.default_rng(1)
    failed = {"measured": 0, "check": 0}
    for _ in range(60):
        candidate, champion = drawn(random, (200, 20)), drawn(random, (200, 20))
        gaps = candidate.mean(axis=1) - champion.mean(axis=1)
        failed["measured"] += bool((gaps < -GATE.class_margin).any())
        check = worst_class(names(200, 20), candidate.ravel(), champion.ravel(), GATE)
        failed["check"] += check.verdict == "failed"
        assert check.verdict != "inconclusive"
    assert failed["measured"] == 60
    assert failed["check"] <= 5  # 3 expected at most


def test_a_class_that_fell_by_twice_the_margin_is_found_among_fifty() -> None:
    random = np.random.default_rng(2)
    found = 0
    for _ in range(20):
        champion = drawn(random, (50, 60))
        candidate = champion & (random.random((50, 60)) < 0.98)
        candidate[7] &= random.random(60) < 0.7
        check = worst_class(names(50, 60), candidate.ravel(), champion.ravel(), GATE)
        found += check.verdict == "failed" and check.found.startswith("class 7: ")
    assert found >= 18


def test_the_line_names_the_class_its_change_its_interval_and_the_number_of_classes() -> None:
    check = losing(lost=12, images=40, classes=30)
    assert check.verdict == "failed"
    assert check.reason() == (
        "class 0: 30.0 points worse (90 % interval: 42.9 points worse to 19.7 points worse; "
        "30 classes compared), "
        "required: no class more than 15 points worse beyond chance"
    )
    assert check.figure == pytest.approx(-0.3)
    assert check.low == pytest.approx(-0.429, abs=0.001)
    assert check.high == pytest.approx(-0.197, abs=0.001)


def test_the_interval_reaches_no_difference_unless_the_exact_test_refutes_it() -> None:
    passed = losing(lost=4, images=20)
    assert difference(np.arange(20) >= 4, np.ones(20, np.bool_), 0.9)[1].high < 0
    assert (passed.verdict, passed.high) == ("passed", 0.0)  # 1/16 of equally good models lose 4 of 4
    assert "1 measured fall beyond the margin may be chance" in passed.note
    assert losing(lost=5, images=20).verdict == "failed"  # 1/32


def test_a_large_class_that_surely_fell_by_less_than_the_margin_passes() -> None:
    check = losing(lost=100, images=1000)
    assert check.verdict == "passed"
    assert check.measured().startswith("class 0: 10.0 points worse (90 % interval: 11.7 points worse to ")


def test_the_note_names_the_least_fall_that_small_classes_can_show() -> None:
    assert (
        "in a class of 20 images, such as class 0, only falls of about 25 points or more"
        in losing(0, 20).note
    )
    assert losing(0, 40).note == ""


def test_classes_that_could_show_nothing_are_inconclusive() -> None:
    labels, right = names(3, 4), np.ones(12, np.bool_)
    check = worst_class(labels, ~right, right, GATE.changed(min_class_images=2))
    assert check.verdict == "inconclusive"
    assert check.note == (
        "no class has 5 images; too few images to judge class 0 (4), class 1 (4), class 2 (4)"
    )


def test_frames_of_two_objects_show_nothing_and_those_of_ten_do() -> None:
    right, groups = np.ones(40, np.bool_), [str(number // 4) for number in range(40)]
    found = worst_class(["ok"] * 40, ~right, right, GATE, groups)
    assert found.verdict == "failed"
    few = worst_class(["ok"] * 40, ~right, right, GATE, [str(number // 20) for number in range(40)])
    assert few.verdict == "inconclusive"
    assert few.note == "no class has 10 images in 5 groups; too few images to judge ok (40 in 2 groups)"


def test_frames_that_are_right_together_make_equal_models_fail_no_more_often() -> None:
    random = np.random.default_rng(3)
    groups = [str(number // 5) for number in range(20 * 30)]
    failed = {"images": 0, "groups": 0}
    for _ in range(60):
        candidate, champion = (np.repeat(random.random(20 * 6) < 0.8, 5) for _ in range(2))
        for name, alike in (("images", None), ("groups", groups)):
            failed[name] += worst_class(names(20, 30), candidate, champion, GATE, alike).verdict == "failed"
    assert failed["images"] > 30
    assert failed["groups"] <= 5


def test_the_test_of_a_class_is_mcnemars_exact_one() -> None:
    random = np.random.default_rng(4)
    classes = np.repeat(np.arange(8), 30)
    changes = changes_of(classes, random.random(240) < 0.7, random.random(240) < 0.8)
    wanted = [
        binomtest(int(lost), int(lost + won), 0.5, alternative="greater").pvalue
        for lost, won in zip(changes.lost, changes.won, strict=True)
    ]
    assert p_worse(changes) == pytest.approx(wanted)


def test_tests_that_can_find_nothing_share_no_part_of_the_level() -> None:
    assert corrected_levels(np.array([0.5] * 48 + [0.04, 0.001]), 0.05) == (0.025, 0.025)
    assert corrected_levels(np.full(50, 0.5), 0.05) == (0.05, 0.05)
    assert corrected_levels(np.full(50, 1e-9), 0.05) == pytest.approx((0.05 / 50, 0.05 / 51))
