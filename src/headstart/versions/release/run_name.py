"""Names of runs that start with what came of them, in the lists of MLflow and Prefect alike."""

import re

WORDS = {"passed": "passed", "failed": "did not pass", "inconclusive": "is inconclusive"}
SHOWN = re.compile(r"version \S+ (?:passed|did not pass|is inconclusive|is unchanged)[^()]* \((?P<own>.+)\)")


def run_name(number: str, verdict: str, own: str, *, is_unchanged: bool = False) -> str:
    """The outcome, then the run's own name, such as `version 7 did not pass (teal-cuckoo)`.

    Args:
        verdict: of the gate: `passed`, `failed` or `inconclusive`.
        own: the run's present name; the outcome that it starts with is replaced.
        is_unchanged: no stage ran, since the version holds the same results.
    """
    if shown := SHOWN.fullmatch(own):  # the run was started, or the version judged, once more
        own = shown["own"]
    words = WORDS[verdict]
    if is_unchanged:
        words = "is unchanged" if verdict == "passed" else f"is unchanged and {words}"
    return f"version {number} {words} ({own})"
