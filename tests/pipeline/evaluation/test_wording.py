"""Numbers and thresholds of the report in words."""

import pytest

from headstart.pipeline.evaluation.wording import complement, number, threshold


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (2.5, "2.5"),
        (1000.5, "1,001"),
        (1234567.0, "1,234,567"),
        (1e28, f"10{',000' * 9}"),
        (1e30, f"1{',000' * 10}"),
        (-1e30, f"-1{',000' * 10}"),
    ],
)
def test_a_number_of_any_size_is_written_in_full(value: float, text: str) -> None:
    assert number(value) == text


def test_the_largest_number_has_all_its_digits() -> None:
    assert float(number(1.7976931348623157e308).replace(",", "")) == 1.7976931348623157e308


@pytest.mark.parametrize(
    ("value", "own", "other"),
    [
        (0.0, "0.000", "1.000"),
        (1e-20, "1e-20", "1 - 1e-20"),
        (0.0004, "0.0004", "1 - 0.0004"),
        (0.25, "0.250", "0.750"),
        (0.9996, "1 - 0.0004", "0.0004"),
        (1.0, "1.000", "0.000"),
    ],
)
def test_a_threshold_next_to_0_or_1_keeps_its_distance(value: float, own: str, other: str) -> None:
    assert (threshold(value), complement(value)) == (own, other)


def test_a_threshold_above_1_is_never_reached() -> None:
    assert threshold(1 + 2**-52) == "never"
