"""Age of a version: how long ago it was registered, beside the limit in params.yaml."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headstart.versions.registry import tracking, versions
from headstart.versions.registry.uri import ModelUri

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Age:
    """Age of a version.

    Attributes:
        model: `models:/NAME/VERSION`.
        registered: seconds since 1970, as MLflow recorded them.
        days: since then.
        allowed: `monitor.max_age_days`.
    """

    model: str
    registered: float
    days: float
    allowed: int

    @property
    def is_old(self) -> bool:
        return self.days > self.allowed

    def sentence(self) -> str:
        """One line for a person."""
        day = f"{datetime.fromtimestamp(self.registered, UTC):%Y-%m-%d}"
        found = f"{self.model} was registered on {day}, {self.days:.1f} days ago"
        if self.is_old:
            return (
                f"{found}: older than monitor.max_age_days ({self.allowed}); train it again on newer images"
            )
        return f"{found}; monitor.max_age_days allows {self.allowed}"

    def to_dict(self) -> dict[str, Any]:
        """The content of the key `age` in a result for programs."""
        return {
            "model": self.model,
            "registered": datetime.fromtimestamp(self.registered, UTC).isoformat(timespec="seconds"),
            "days": self.days,
            "max_age_days": self.allowed,
            "is_old": self.is_old,
            "sentence": self.sentence(),
        }


def age_of(model: str, allowed: int, now: float | None = None) -> Age:
    """The age of a version, by the time at which MLflow registered it.

    Args:
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
        allowed: days that a version may be old.
        now: seconds since 1970; the current time by default.

    Raises:
        TrackingError: MLflow is out of reach or has no such version.
    """
    client = tracking.connect()
    with tracking.translated(f"look up the age of {model}"):
        version = ModelUri.parse(model).version(client)
    registered = version.creation_timestamp / 1000
    now = time.time() if now is None else now
    return Age(str(ModelUri.of(version)), registered, (now - registered) / DAY, allowed)


def age_of_champion(name: str, allowed: int | None, now: float | None = None) -> Age | None:
    """The age of a model's champion; None if no limit is set or there is no champion.

    Raises:
        TrackingError: MLflow is out of reach.
    """
    if allowed is None:
        return None
    client = tracking.connect()
    with tracking.translated(f"look up the champion of {name}"):
        if not versions.any_champion(client, name):
            return None
    return age_of(f"models:/{name}@{versions.CHAMPION}", allowed, now)
