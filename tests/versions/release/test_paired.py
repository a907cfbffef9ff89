"""Known cases of a candidate against a champion, from plain arrays."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from sections import section

from headstart.pipeline.evaluation.intervals import wilson
from headstart.pipeline.evaluation.paired_difference import Flags, difference
from headstart.versions.release.decision import Check, Decision
from headstart.versions.release.paired import compare

GATE = section("gate", margin=0.05, class_margin=0.15, confidence=0.9, min_images=50, min_class_images=10)


def right(images: int, wrong: range = range(0)) -> Flags:
    flags = np.ones(images, np.bool_)
    flags[list(wrong)] = False
    return flags


def judged(candidate: Flags, champion: Flags, labels: list[str] | None = None) -> dict[str, Check]:
    labels = labels or ["ok", "scratch"] * (len(candidate) // 2)
    return {check.name: check for check in compare(labels, candidate, champion, GATE)}


def test_an_equal_model_passes() -> None:
    found = judged(right(96, range(4)), right(96, range(4)))
    assert {check.verdict for check in found.values()} == {"passed"}
    assert found["accuracy_difference"].figure == 0


def test_a_clearly_worse_model_fails() -> None:
    found = judged(right(96, range(20)), right(96, range(2)))
    check = found["accuracy_difference"]
    assert check.verdict == "failed"
    assert check.figure == pytest.approx(-18 / 96)
    assert check.low is not None
    assert check.high is not None
    assert check.low < -18 / 96 < check.high < 0


def test_a_model_that_a_few_images_cannot_tell_from_a_worse_one_is_inconclusive() -> None:
    check = judged(right(60, range(10)), right(60, range(8, 17)))["accuracy_difference"]
    assert check.figure == pytest.approx(-1 / 60)
    assert check.verdict == "inconclusive"
    assert "too few to show" in check.note
    assert check.measured() == "1.7 points worse (90 % interval: 12.7 points worse to 9.3 points better)"
    assert check.wanted == "the whole interval above 5 points worse"


def test_a_class_that_is_worse_fails_although_the_whole_is_better() -> None:
    labels = ["common"] * 400 + ["rare"] * 20
    found = judged(right(420, range(410, 416)), right(420, range(0, 40)), labels)
    assert found["accuracy_difference"].verdict == "passed"
    assert found["worst_class"].verdict == "failed"
    assert found["worst_class"].found.startswith("rare: 30.0 points worse (95 % interval: ")


def test_few_shared_images_say_nothing() -> None:
    found = judged(right(48), right(48))
    assert {check.verdict for check in found.values()} == {"inconclusive"}
    assert not Decision.of(tuple(found.values()), "1", "").passed
    assert "48 images that the champion did not see, 50 are needed" in found["accuracy_difference"].note


def test_a_class_with_few_images_is_named_and_not_compared() -> None:
    labels = ["a"] * 60 + ["b"] * 3
    check = judged(right(63, range(60, 63)), right(63), labels)["worst_class"]
    assert check.verdict == "passed"
    assert "too few images to judge b (3)" in check.note


def test_the_score_of_no_difference_is_that_of_mcnemar() -> None:
    candidate, champion = right(200, range(30)), right(200, range(28, 40))  # 28 lost, 10 gained
    z = 18 / math.sqrt(38)
    level = 2 * NormalDist().cdf(z) - 1  # the interval of this level ends at 0
    assert difference(candidate, champion, level)[1].high == pytest.approx(0, abs=1e-9)


def test_where_no_image_differs_the_interval_is_wilsons() -> None:
    _, interval = difference(right(96), right(96), 0.9)
    wilsons = wilson(0, 96, 0.9).high
    assert (interval.low, interval.high) == (pytest.approx(-wilsons), pytest.approx(wilsons))


def test_a_worse_model_passes_in_at_most_one_of_twenty_cases() -> None:
    """Candidates that are worse by exactly the margin pass at the stated rate."""
    random = np.random.default_rng(3)
    passed = 0
    for _ in range(1000):
        drawn = random.random(400)
        champion = drawn > 0.10
        _, interval = difference(champion & (drawn < 0.95), champion, 0.9)
        passed += interval.low >= -GATE.margin
    assert passed / 1000 < 0.065


def test_groups_of_one_image_change_nothing() -> None:
    candidate, champion = right(96, range(9)), right(96, range(6, 11))
    alone = [str(number) for number in range(96)]
    _, plain = difference(candidate, champion, 0.9)
    _, grouped = difference(candidate, champion, 0.9, alone)
    assert grouped.low == pytest.approx(plain.low, abs=0.005)
    assert grouped.high == pytest.approx(plain.high, abs=0.005)


def test_six_frames_of_each_object_count_as_one_image() -> None:
    """Frames of one object are all right or all wrong: sixty frames say as much as ten images."""
    frames, objects = right(60, range(6)), right(10, range(1))
    groups = [str(number // 6) for number in range(60)]
    measured, interval = difference(frames, right(60), 0.9, groups)
    assert measured == pytest.approx(-0.1)
    assert difference(frames, right(60), 0.9)[1].low > -0.2
    assert interval.low == pytest.approx(difference(objects, right(10), 0.9)[1].low, abs=0.03)


def test_where_no_image_differs_groups_are_what_counts() -> None:
    groups = [str(number // 6) for number in range(96)]
    _, interval = difference(right(96), right(96), 0.9, groups)
    assert interval.high == pytest.approx(wilson(0, 16, 0.9).high)


def test_with_groups_a_worse_model_passes_in_at_most_one_of_twenty_cases() -> None:
    """Groups of four that are right or wrong together: counting images, it would pass in one of five."""
    random = np.random.default_rng(4)
    groups = [str(number // 4) for number in range(800)]
    passed = {"images": 0, "groups": 0}
    for _ in range(500):
        drawn = np.repeat(random.random(200), 4)
        champion = drawn > 0.10
        candidate = champion & (drawn < 0.95)
        passed["images"] += difference(candidate, champion, 0.9)[1].low >= -GATE.margin
        passed["groups"] += difference(candidate, champion, 0.9, groups)[1].low >= -GATE.margin
    assert passed["images"] / 500 > 0.15
    assert passed["groups"] / 500 < 0.075


def test_the_note_says_in_how_many_groups() -> None:
    check = compare(["ok"] * 60, right(60), right(60), GATE, [str(n // 6) for n in range(60)])[0]
    assert "on 60 images in 10 groups that the champion did not see" in check.note


def test_one_failed_check_decides_and_the_line_names_it() -> None:
    checks = (
        Check("accuracy", "passed", 0.9, "at least 0.85"),
        Check("mirror", "inconclusive", None, "at least 0.9", "no picture"),
        Check("latency_ms", "failed", 300.0, "at most 100 ms", found="300 ms"),
    )
    decision = Decision.of(checks, None, "accuracy 0.9")
    assert decision.verdict == "failed"
    assert decision.sentence() == (
        "FAIL: accuracy 0.9; mirror inconclusive: no picture; "
        "latency failed: 300 ms, required: at most 100 ms"
    )
    assert Decision.of(checks[:2], None, "").verdict == "inconclusive"
    assert Decision.of(checks[:1], "3", "x").sentence() == "PASS: x; all 1 checks passed"
