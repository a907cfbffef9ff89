"""The gate's decision: each check with its figure, and the verdict over all of them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from headstart.ground.wording import percent

Verdict = Literal["passed", "failed", "inconclusive"]
WORDS = {"passed": "PASS", "failed": "FAIL", "inconclusive": "INCONCLUSIVE"}
COUNT = 3  # failed checks that the one line names


def passed_if(good: bool) -> Verdict:
    return "passed" if good else "failed"


def share(value: float) -> str:
    """A share as a percentage: `0.905` is `90.5 %`; `0 %` and `100 %` only if exact."""
    return f"{percent(value, '.4g')} %"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: short, such as `accuracy` or `mirror`: a metric of MLflow is named so.
        figure: the measurement; None if there was none.
        wanted: for people, such as `at least 0.85`.
        note: details for people; may be empty.
        low, high: ends of the figure's interval.
        found: the figure in words, such as `48 of 49 found`; without it, the number.
    """

    name: str
    verdict: Verdict
    figure: float | None
    wanted: str
    note: str = ""
    low: float | None = None
    high: float | None = None
    found: str = ""

    @property
    def title(self) -> str:
        """The name for people, without a unit: the figure has it."""
        return self.name.removesuffix("_ms").removesuffix("_mb").replace("_", " ")

    def measured(self) -> str:
        """The figure for people."""
        if self.figure is None:
            return "not measured"
        return self.found or f"{self.figure:.3g}"

    def reason(self) -> str:
        """Figure, requirement and note in one line."""
        if self.figure is None:
            return self.note
        return f"{self.measured()}, required: {self.wanted}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True)
class Decision:
    """All checks of one version.

    Attributes:
        champion: number of the version it was compared with; None without one.
        summary: the figures that a person looks for first.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    champion: str | None
    summary: str

    @classmethod
    def of(cls, checks: tuple[Check, ...], champion: str | None, summary: str) -> "Decision":
        """Failed if any check failed, else inconclusive if any was."""
        found = {check.verdict for check in checks}
        verdict: Verdict = "passed"
        if "failed" in found:
            verdict = "failed"
        elif "inconclusive" in found:
            verdict = "inconclusive"
        return cls(verdict, checks, champion, summary)

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"

    def sentence(self) -> str:
        """One line: the verdict, the first figures, and what did not pass."""
        wrong = [check for check in self.checks if check.verdict != "passed"]
        parts = [f"{check.title} {check.verdict}: {check.reason()}" for check in wrong[:COUNT]]
        if len(wrong) > COUNT:
            parts.append(f"and {len(wrong) - COUNT} more checks")
        if not wrong:
            parts.append(f"all {len(self.checks)} checks passed")
        return f"{WORDS[self.verdict]}: {self.summary}; {'; '.join(parts)}"

    def as_text(self) -> str:
        """The sentence, then one line per check, for a terminal."""
        cells = [(check.title, check.verdict, check.measured(), check.wanted) for check in self.checks]
        widths = [max(map(len, column)) + 2 for column in zip(*cells, strict=True)]
        rows = [
            "  " + "".join(map(str.ljust, row, widths)) + check.note
            for row, check in zip(cells, self.checks, strict=True)
        ]
        return "\n".join([self.sentence(), *(row.rstrip() for row in rows)])

    def as_dict(self) -> dict[str, Any]:
        """The content of gate.json."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence(),
            "champion": self.champion,
            "summary": self.summary,
            "checks": [asdict(check) for check in self.checks],
        }
