"""Figures in words, the same in all sections of the report."""

from collections.abc import Callable

import numpy as np

from headstart.pipeline.evaluation.intervals import Interval


def share(value: float | None) -> str:
    """A share in [0, 1] as a percentage; 100% only if nothing is missing."""
    if value is None:
        return "n/a"
    percent = f"{value * 100:.1f}"
    if percent == "100.0" and value < 1:
        percent = "99.9"
    return f"{percent}%"


def decimal(value: float | None) -> str:
    """A number with three decimals."""
    return "n/a" if value is None else f"{value:.3f}"


def rounded(value: float) -> str:
    """A number with three digits, or all those before the point."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def day(number: float) -> str:
    """The date of a day, counted from 1 January 1970, as `2019-03-02`."""
    return str(np.datetime64(int(number), "D"))


def shares(interval: Interval | None) -> str:
    """An interval of a share, both ends in percent; empty if there is none."""
    return "" if interval is None else f"{share(interval.low)} to {share(interval.high)}"


def decimals(interval: Interval | None) -> str:
    """An interval of numbers; empty if there is none."""
    return "" if interval is None else f"{decimal(interval.low)} to {decimal(interval.high)}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s in the plural."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


FILTERS: dict[str, Callable[..., object]] = {
    "share": share,
    "decimal": decimal,
    "shares": shares,
    "counted": counted,
}
