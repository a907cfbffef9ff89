"""Run checks side by side, each on its own: an error or a delay of one is its finding, not the end of all."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from headstart.errors import HeadstartError, without_password
from headstart.ground.wording import shortened
from headstart.host.bounded_process import kill_bounded

PROGRAM_SECONDS = 6.5  # for each program that a check runs
SECONDS = 7.0  # for all checks together

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        found: one line.
        mend: a command, or what to do; None if nothing needs to be done.
    """

    status: Status
    found: str
    mend: str | None = None


Check = Callable[[], Finding]


def ok(found: str, mend: str | None = None) -> Finding:
    return Finding("ok", found, mend)


def warning(found: str, mend: str | None = None) -> Finding:
    return Finding("warning", found, mend)


def error(found: str, mend: str | None = None) -> Finding:
    return Finding("error", found, mend)


@dataclass(frozen=True)
class Examination:
    """Every check by its name, with its finding."""

    findings: Mapping[str, Finding]

    @property
    def has_errors(self) -> bool:
        return self._count("error") > 0

    def as_dict(self) -> dict[str, Any]:
        """The findings for programs."""
        checks = [{"check": name, **asdict(finding)} for name, finding in self.findings.items()]
        return {"errors": self._count("error"), "warnings": self._count("warning"), "checks": checks}

    def as_text(self) -> str:
        """One line per check, and their number."""
        width = max(map(len, self.findings))
        lines = [
            f"{each.status:<8} {name:<{width}}  {each.found}{f' -> {each.mend}' if each.mend else ''}"
            for name, each in self.findings.items()
        ]
        return "\n".join([*lines, f"{self._count('error')} errors, {self._count('warning')} warnings"])

    def _count(self, status: Status) -> int:
        return sum(finding.status == status for finding in self.findings.values())


def examine(checks: Mapping[str, Check], seconds: float = SECONDS) -> Examination:
    """Run all checks at once; what has not ended after `seconds` is left out with a warning."""
    findings: dict[str, Finding] = {}

    def run(name: str, check: Check) -> None:
        findings[name] = _isolated(check)

    # Daemons: a check that hangs in the system, as on a lost network drive, does not keep the command.
    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in checks.items()]
    until = time.monotonic() + seconds
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
    finally:
        kill_bounded()
    late = warning(f"unknown: no answer in {seconds:g} s", "run it again when this machine is less busy")
    return Examination({name: findings.get(name, late) for name in checks})


def _isolated(check: Check) -> Finding:
    try:
        found = check()
    except TimeoutError as late:
        found = warning(f"unknown: {late}", "run it again when this machine is less busy")
    except HeadstartError as wrong:
        found = error(str(wrong))
    except Exception as wrong:  # whatever is broken is what this command looks for
        found = error(f"{type(wrong).__name__}: {wrong}")
    mend = None if found.mend is None else _line(found.mend)
    return Finding(found.status, _line(found.found), mend)


def _line(text: str) -> str:
    """A text on one line, without a password."""
    return shortened(without_password(" ".join(text.split())))
