"""The tests give the same results as scipy, and err at their stated rate."""

import numpy as np
import pytest
from scipy import stats

from headstart.versions.monitoring.drift import SUBJECTS
from headstart.versions.monitoring.settings import MONITOR_CHECKS
from headstart.versions.monitoring.two_sample import Outcome, energy_test, holm, largest_gap_test, shares_test

PERMUTATIONS = 999


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_the_largest_gap_is_that_of_kolmogorov_and_smirnov_with_ties_too() -> None:
    for reference, new in (
        (draw(0, 80), draw(1, 50) + 0.3),
        (draw(2, 80).round(), draw(3, 50).round()),
        (np.ones(20), np.ones(30)),
    ):
        found = largest_gap_test(reference, new, PERMUTATIONS, 0)
        known = stats.ks_2samp(reference, new, method="exact")
        assert found.statistic == pytest.approx(known.statistic)
        if len(set(reference)) == 80:  # scipy's p-value is exact only without ties
            assert found.p_value == pytest.approx(known.pvalue, abs=0.05)
    assert found.p_value == 1


def test_the_energy_distance_is_that_of_its_definition() -> None:
    reference, new = draw(0, 40, 3).astype(np.float32), draw(1, 25, 3).astype(np.float32) + 0.5
    rows = np.concatenate([reference, new]).astype(np.float64)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    old, fresh = apart[:40, :40].mean(), apart[40:, 40:].mean()
    between = apart[:40, 40:].mean()
    expected = (2 * between - old - fresh) / (2 * between)
    assert energy_test(reference, new, PERMUTATIONS, 0).statistic == pytest.approx(expected, rel=1e-4)


def test_shares_are_compared_as_by_scipys_chi_square() -> None:
    reference, new = ["a"] * 60 + ["b"] * 30 + ["c"] * 10, ["a"] * 25 + ["b"] * 20 + ["c"] * 15
    found = shares_test(reference, new, 9999, 0)
    known = stats.chi2_contingency([[60, 30, 10], [25, 20, 15]], correction=False)
    assert found.p_value == pytest.approx(known.pvalue, abs=0.01)
    assert found.statistic == pytest.approx(abs(60 / 100 - 25 / 60))
    assert shares_test(["a"] * 5, ["a"] * 9, 99, 0) == Outcome(0.0, 1.0)
    assert shares_test(["a"] * 50, ["new"] * 50, 999, 0).p_value == 0.001


def test_holm_adjusts_as_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("name", ["values", "ties", "rows", "shares"])
def test_without_drift_a_test_errs_at_its_rate(name: str) -> None:
    """Of 400 draws, 20 are expected to err at 0.05, and more than 38 hardly ever do."""
    generator = np.random.default_rng(7)
    p_values = []
    for seed in range(400):
        reference, new = generator.normal(size=(30, 6)), generator.normal(size=(20, 6))
        if name == "rows":
            found = energy_test(reference.astype(np.float32), new.astype(np.float32), 99, seed)
        elif name == "shares":
            found = shares_test(
                [str(value) for value in reference[:, 0].round()],
                [str(value) for value in new[:, 0].round()],
                99,
                seed,
            )
        else:
            digits = 0 if name == "ties" else 9
            found = largest_gap_test(reference[:, 0].round(digits), new[:, 0].round(digits), 99, seed)
        p_values.append(found.p_value)
    assert sum(value <= 0.05 for value in p_values) <= 38
    assert min(p_values) >= 0.01


@pytest.mark.parametrize("change", ["mean", "spread", "one of six"])
def test_drift_of_rows_is_found(change: str) -> None:
    reference, new = draw(0, 150, 6), draw(1, 100, 6)
    if change == "mean":
        new += 0.4
    elif change == "spread":
        new *= 1.6
    else:
        new[:, 2] += 1.5
    found = energy_test(reference.astype(np.float32), new.astype(np.float32), PERMUTATIONS, 0)
    assert found.p_value == 1 / (PERMUTATIONS + 1)


def test_columns_that_never_vary_and_identical_rows_are_no_drift() -> None:
    rows = np.ones((40, 4), np.float32)
    assert energy_test(rows, rows[:20], 99, 0) == Outcome(0.0, 1.0)
    rows[:, 0] = np.arange(40)
    assert energy_test(rows, rows, 99, 0).p_value > 0.5


def test_params_know_how_many_checks_there_are() -> None:
    assert len(SUBJECTS) == MONITOR_CHECKS
