"""Whether metrics meet the thresholds of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """Each threshold with what was found."""

    found: dict[str, float]
    thresholds: dict[str, float]

    @property
    def passed(self) -> bool:
        return all(self.found[name] >= least for name, least in self.thresholds.items())

    def sentence(self) -> str:
        """One line: the verdict, then each figure with its threshold."""
        figures = ", ".join(
            f"{name.replace('_', ' ')} {self.found[name]:.3f} (needs {least:g})"
            for name, least in self.thresholds.items()
        )
        return f"{'PASS' if self.passed else 'FAIL'}: {figures}"


def judge(metrics: Mapping[str, Any], thresholds: Mapping[str, float]) -> Verdict:
    """Compare metrics with their least values."""
    return Verdict({name: float(metrics[name]) for name in thresholds}, dict(thresholds))
