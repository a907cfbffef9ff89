"""Names of runs that start with what came of them, in the lists of MLflow and Prefect alike."""

import re
from typing import Literal

Came = Literal["judged", "found", "unchanged"]
"""A version was judged by this run; by an earlier one, which was found after stages ran; or at once."""
WORDS = {"passed": "passed", "failed": "did not pass", "inconclusive": "is inconclusive"}
FOUND = {"found": "was registered before", "unchanged": "is unchanged"}
SHOWN = re.compile(
    r"version \S+ (?:passed|did not pass|is inconclusive|was registered before|is unchanged)[^()]* "
    r"\((?P<own>.+)\)"
)


def run_name(number: str, verdict: str, own: str, came: Came = "judged") -> str:
    """The outcome, then the run's own name, such as `version 7 did not pass (teal-cuckoo)`.

    Args:
        verdict: of the gate: `passed`, `failed` or `inconclusive`.
        own: the run's present name; the outcome that it starts with is replaced.
        came: how this run came by the verdict.
    """
    words = WORDS[verdict]
    if came != "judged":
        words = FOUND[came] if verdict == "passed" else f"{FOUND[came]} and {words}"
    return f"version {number} {words} ({own_name(own)})"


def own_name(name: str) -> str:
    """The name that a run had before its outcome was shown."""
    shown = SHOWN.fullmatch(name)
    return shown["own"] if shown else name
