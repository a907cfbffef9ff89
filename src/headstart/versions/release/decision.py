"""What the gate decides: each check with its figure, and the verdict of all."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["passed", "failed", "inconclusive"]
WORDS = {"passed": "PASS", "failed": "FAIL", "inconclusive": "INCONCLUSIVE"}
COUNT = 3  # failed checks that the one line names


def passed_if(good: bool) -> Verdict:
    return "passed" if good else "failed"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: short, such as `accuracy` or `mirror`: a metric of MLflow is named so.
        figure: what was measured; None where nothing could be.
        wanted: for people, such as `at least 0.85`.
        note: more of what was found, for people; "" for nothing.
        low, high: of the figure's interval.
    """

    name: str
    verdict: Verdict
    figure: float | None
    wanted: str
    note: str = ""
    low: float | None = None
    high: float | None = None

    def told(self) -> str:
        """The figure, with its interval where it has one."""
        if self.figure is None:
            return "not measured"
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3g} to {self.high:.3g})"
        return f"{self.figure:.3g}{interval}"

    def reason(self) -> str:
        """Figure, limit and note in one line."""
        if self.figure is None:
            return self.note
        return f"{self.told()}, wanted {self.wanted}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True)
class Decision:
    """All checks of one version.

    Attributes:
        champion: number of the version it was compared with; None where there was none.
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
        parts = [
            f"{check.name.replace('_', ' ')} {check.verdict}: {check.reason()}" for check in wrong[:COUNT]
        ]
        if len(wrong) > COUNT:
            parts.append(f"and {len(wrong) - COUNT} more checks")
        if not wrong:
            parts.append(f"all {len(self.checks)} checks passed")
        return f"{WORDS[self.verdict]}: {self.summary}; {'; '.join(parts)}"

    def as_text(self) -> str:
        """The line, then a row a check, for a terminal."""
        rows = [
            f"  {check.name.replace('_', ' '):<22}{check.verdict:<14}{check.told():<26}"
            f"{check.wanted:<30}{check.note}".rstrip()
            for check in self.checks
        ]
        return "\n".join([self.sentence(), *rows])

    def as_dict(self) -> dict[str, Any]:
        """The content of gate.json."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence(),
            "champion": self.champion,
            "summary": self.summary,
            "checks": [asdict(check) for check in self.checks],
        }
