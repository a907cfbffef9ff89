"""Wording that messages of all packages share."""

import reprlib
from collections.abc import Iterable

_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxother, _SHOWN.maxlong = 3, 80, 80, 40
LONGEST = 300
DECIMALS = 4  # of a percentage, at most


def named(names: Iterable[str], most: int = 10) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def shown(value: object) -> str:
    """A value as an error message shows it: the beginning of a long or deeply nested one."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of {value.bit_length()} bits"
    return shortened(_SHOWN.repr(value))


def shortened(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def points(gap: float) -> str:
    """A difference of accuracies or recalls: `4.3 points worse`."""
    rounded = round(100 * gap, 1)
    if rounded == 0:
        return "no difference"
    return f"{abs(rounded):.1f} points {'worse' if rounded < 0 else 'better'}"


def share(value: float) -> str:
    """A share in [0, 1] as `90.5%`, with more digits next to 0 and 1, as in `percent`."""
    return f"{percent(value, '.1f')}%"


def percent(value: float, digits: str) -> str:
    """A share in [0, 1] as a percentage without its sign; 0 and 100 only if exact.

    Args:
        digits: format of the percentage from 0.1 to 99.9; outside, it has as many decimals as show its
            distance from 0 or 100, at most 4.
    """
    distance = 100 * min(value, 1 - value)
    if not 0 < distance < 0.1:
        return f"{100 * value:{digits}}"
    decimals = -int(f"{distance:.0e}".partition("e")[2])
    if decimals > DECIMALS:
        return "under 0.0001" if value < 0.5 else "over 99.9999"
    return f"{100 * value:.{max(decimals, 1)}f}"


def confidence(probability: float) -> str:
    """The probability of an answer as `90.5%`; never 100%, since no answer is certain."""
    text = f"{100 * probability:.1f}%"
    return "over 99.9%" if text == "100.0%" else text
