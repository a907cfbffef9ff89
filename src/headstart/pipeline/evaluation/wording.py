"""Figures in words, the same in all sections of the report."""

import sys
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np

from headstart.ground import wording
from headstart.pipeline.evaluation.intervals import Interval

DIGITS = sys.float_info.max_10_exp + 1  # of the largest number before the point


def share(value: float | None) -> str:
    """A share in [0, 1] as a percentage; 100% and 0% only if exact."""
    return "n/a" if value is None else wording.share(value)


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


def number(value: float) -> str:
    """A number with three digits, in full from 1,000 on; halves are rounded up, as by the page's script."""
    if abs(value) >= 1000:  # the digits that identify the number, then zeros, as in the script
        return f"{Decimal(str(value)).quantize(Decimal(1), ROUND_HALF_UP, Context(prec=DIGITS)):,}"
    return f"{Context(prec=3, rounding=ROUND_HALF_UP).create_decimal_from_float(value).normalize():f}"


def numbers(interval: Interval) -> str:
    """An interval of numbers, both ends as `number` gives them."""
    return f"{number(interval.low)} to {number(interval.high)}"


def threshold(value: float) -> str:
    """A probability that an answer must reach; one next to 0 or 1 keeps its distance from it.

    One above 1, which no answer reaches, is `never`.
    """
    return "never" if value > 1 else _probability(value, 1 - value)


def complement(value: float) -> str:
    """The rest of a probability, in the same form; it may be so small that the rest is rounded to 1."""
    return _probability(1 - value, value)


def _probability(value: float, rest: float) -> str:
    distance = min(value, rest)
    if distance == 0 or distance >= 0.001:
        return f"{value:.3f}"
    return f"{value:.2g}" if value < rest else f"1 - {rest:.2g}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s in the plural."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


FILTERS: dict[str, Callable[..., object]] = {
    "share": share,
    "confidence": wording.confidence,
    "decimal": decimal,
    "shares": shares,
    "counted": counted,
    "number": number,
    "numbers": numbers,
    "threshold": threshold,
}
