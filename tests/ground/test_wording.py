"""Shares and confidences in words."""

import pytest

from headstart.ground.wording import confidence, share
from headstart.versions.release import decision


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0%"),
        (1e-9, "under 0.0001%"),
        (5e-6, "0.0005%"),
        (1 / 5000, "0.02%"),
        (0.00096, "0.1%"),
        (0.905, "90.5%"),
        (0.997, "99.7%"),
        (7998 / 8000, "99.98%"),
        (0.9999, "99.99%"),
        (0.99999, "99.999%"),
        (1 - 1e-9, "over 99.9999%"),
        (1.0, "100.0%"),
    ],
)
def test_a_share_is_whole_only_if_nothing_is_missing(value: float, text: str) -> None:
    assert share(value) == text


def test_the_gates_shares_are_whole_only_if_nothing_is_missing() -> None:
    shown = [decision.share(value) for value in (0, 1 / 5000, 0.905, 0.95, 0.8523, 0.9999, 1 - 1e-6, 1.0)]
    assert shown == ["0 %", "0.02 %", "90.5 %", "95 %", "85.23 %", "99.99 %", "99.9999 %", "100 %"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "50.0%"), (0.997, "99.7%"), (0.9996, "over 99.9%"), (1.0, "over 99.9%")]
)
def test_no_answer_is_certain(value: float, text: str) -> None:
    assert confidence(value) == text
