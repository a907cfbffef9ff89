"""Shares, the estimate from confidences, and alarms: their levels, and what they must notice."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from headstart.pipeline.evaluation.intervals import wilson
from headstart.versions.monitoring.feedback.alarms import (
    Limits,
    from_estimates,
    from_labels,
    log_evidence,
)
from headstart.versions.monitoring.feedback.estimate import calibrate
from headstart.versions.monitoring.feedback.figures import Figure, difference, weighted_share

REGISTERED = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits("models:/m/1", REGISTERED, Figure(0.95, 0.88, 0.98, 100), 0.05, 0.01, 30)


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are too sure, and whether the answers are right."""
    random = np.random.default_rng(seed)
    sure = np.abs(random.normal(2, 1.5, count))
    return 1 / (1 + np.exp(-2 * sure)), random.random(count) < 1 / (1 + np.exp(-sure))


def test_equal_weights_give_wilsons_interval() -> None:
    right = np.array([1, 1, 0, 1], bool)
    found, bounds = weighted_share(right, np.ones(4), names(4), 0.95), wilson(3, 4, 0.95)
    assert (found.value, found.images) == (0.75, 4)
    assert [found.low, found.high] == pytest.approx([bounds.low, bounds.high])


def test_copies_and_unequal_weights_widen_it() -> None:
    right, weights = np.array([1, 1, 0, 0] * 10, bool), np.ones(40)
    plain = weighted_share(right, weights, names(40), 0.95)
    copies = weighted_share(right, weights, [str(number // 2) for number in range(40)], 0.95)
    heavy = weighted_share(right, np.tile([9.0, 1, 9, 1], 10), names(40), 0.95)
    assert plain.low - copies.low > 0.05
    assert plain.low - heavy.low > 0.03
    one = weighted_share(np.ones(30, bool), np.ones(30), ["same"] * 30, 0.95)
    assert one.low == pytest.approx(wilson(1, 1, 0.95).low)


def test_the_difference_is_newcombes() -> None:
    sides = [Figure(k / n, *vars(wilson(k, n, 0.95)).values(), n) for k, n in ((56, 70), (48, 80))]
    found = difference(*sides)
    assert [found.low, found.high] == pytest.approx([0.0524, 0.3339], abs=1e-4)  # of the paper's table II


def test_the_estimate_is_right_on_average_and_covers() -> None:
    covered, gaps = 0, []
    for draw in range(20):
        confidence, right = drawn(draw, 400)
        calibration = calibrate(confidence[:150], right[:150])
        found = calibration.estimate(confidence[150:], names(250), 0.9)
        truth = right[150:].mean()
        covered += found.low <= truth <= found.high
        gaps.append(found.value - truth)
        assert calibration.accuracy == pytest.approx(right[:150].mean(), abs=0.02)
    assert covered >= 14
    assert abs(np.mean(gaps)) < 0.03


def test_less_sure_answers_are_estimated_to_be_worse() -> None:
    confidence, right = drawn(0, 3000)
    calibration = calibrate(confidence, right)
    hard = confidence < np.median(confidence)
    found = calibration.estimate(confidence[hard], names(int(hard.sum())), 0.95)
    assert found.low < right[hard].mean() < found.high < right.mean()
    assert calibration.change(confidence[hard], names(int(hard.sum())), 0.95).high < -0.05
    assert abs(calibration.change(confidence, names(3000), 0.95).value) < 1e-6


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_test_without_mistakes_or_hits_has_an_estimate_short_of_certainty(share: float) -> None:
    confidence = np.linspace(0.6, 0.99, 30)
    found = calibrate(confidence, np.full(30, share == 1)).estimate(confidence, names(30), 0.95)
    assert 0 < found.low < found.value < found.high < 1
    assert abs(found.value - share) < 0.1


def test_answers_surer_than_any_of_a_test_whose_mistakes_were_all_unsure_are_not_certain() -> None:
    confidence = np.linspace(0.51, 0.9, 20)
    found = calibrate(confidence, confidence > 0.6).estimate(np.ones(5), names(5), 0.95)
    assert 0 <= found.low < found.value < 1


def test_confidence_that_misleads_counts_for_nothing() -> None:
    confidence = np.linspace(0.6, 0.99, 40)
    calibration = calibrate(confidence, confidence < 0.8)
    assert calibration.weights[1] == 0
    assert calibration.estimate(confidence[:5], names(5), 0.9).value == pytest.approx(0.5, abs=0.03)


def test_the_evidence_is_a_fair_bet() -> None:
    """Its mean over all outcomes is 1 if the accuracy is just the limit, and less if it is better."""
    images, least = 40, 0.8
    for accuracy, most in ((0.8, 1.0), (0.9, 0.7)):
        mean = sum(
            math.comb(images, k) * accuracy**k * (1 - accuracy) ** (images - k)
            * math.exp(log_evidence(k, images, least))
            for k in range(images + 1)
        )  # fmt: skip
        assert mean <= most + 1e-9
        assert accuracy > 0.8 or mean == pytest.approx(1)
    assert log_evidence(20, 40, 0.8) > 7 > 0 > log_evidence(32, 40, 0.8)
    assert log_evidence(0, 10, -0.1) == -math.inf


def labelled(day: datetime, right: int, wrong: int) -> pd.DataFrame:
    count = right + wrong
    return pd.DataFrame(
        {"time": pd.to_datetime([day] * count, utc=True), "right": [True] * right + [False] * wrong}
    )


def test_labels_raise_an_alarm_in_the_month_that_shows_it() -> None:
    january, march = REGISTERED + timedelta(days=3), REGISTERED + timedelta(days=65)
    good, bad = labelled(january, 90, 10), labelled(march, 50, 50)
    assert from_labels(good, LIMITS) is None
    found = from_labels(pd.concat([good, bad]), LIMITS)
    assert found is not None
    assert (found.kind, found.since, found.images, found.accuracy) == ("labels", "2026-03-01", 100, 0.5)
    assert "50.0% of 100 labelled images are right in the month from 2026-03-01" in found.sentence()
    assert from_labels(labelled(march, 10, 10), LIMITS) is None  # fewer than min_images
    assert from_labels(labelled(march, 80, 20), LIMITS) is None  # within the margin and the test's interval


def test_only_complete_weeks_of_an_estimate_raise_an_alarm() -> None:
    confidence, right = drawn(0, 3000)
    calibration = calibrate(confidence, right)
    day = datetime(2026, 1, 13, tzinfo=UTC)  # a Tuesday
    times = pd.to_datetime([day] * 80, utc=True)
    known = {"labelled": False, "right": False}
    unsure = pd.DataFrame({"time": times, "confidence": 0.6, "copies": names(80), **known})
    assert from_estimates(unsure, calibration, LIMITS, day + timedelta(days=2)) is None
    found = from_estimates(unsure, calibration, LIMITS, day + timedelta(days=6))
    assert found is not None
    assert (found.kind, found.since) == ("estimate", "2026-01-12")
    assert found.sentence().endswith("This is an estimate: label some images to know.")
    usual = unsure.assign(confidence=confidence[:80])
    assert from_estimates(usual, calibration, LIMITS, day + timedelta(days=6)) is None
    same = unsure.assign(copies="one")
    assert from_estimates(same, calibration, LIMITS, day + timedelta(days=6)) is None
    first = [number < 30 for number in range(80)]
    refuted = unsure.assign(labelled=first, right=first)
    assert from_estimates(refuted, calibration, LIMITS, day + timedelta(days=6)) is None
    for few in (refuted.assign(labelled=[number < 29 for number in range(80)]), refuted.assign(right=False)):
        assert from_estimates(few, calibration, LIMITS, day + timedelta(days=6)) is not None
