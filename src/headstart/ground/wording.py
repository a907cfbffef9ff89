"""Wording that messages of all packages share."""

import reprlib
from collections.abc import Iterable

_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxother, _SHOWN.maxlong = 3, 80, 80, 40
LONGEST = 300


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
    """A share in [0, 1] as `90.5%`; 100.0% and 0.0% only if nothing is missing, or nothing is there."""
    text = f"{100 * value:.1f}%"
    return {"100.0%": "99.9%", "0.0%": "0.1%"}.get(text, text) if 0 < value < 1 else text


def confidence(probability: float) -> str:
    """The probability of an answer as `90.5%`; never 100%, since no answer is certain."""
    text = f"{100 * probability:.1f}%"
    return "over 99.9%" if text == "100.0%" else text
