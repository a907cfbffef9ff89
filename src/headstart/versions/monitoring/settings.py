"""Section `monitor` of params.yaml."""

import math
from typing import Annotated

from pydantic import Field, model_validator

from headstart.ground.settings import Count, Level, Section, Seed, Share

MONITOR_CHECKS = 8  # per comparison; the smallest p-value must survive Holm's correction over them


class Monitor(Section):
    source: str | None = None
    """folder, file or glob pattern that is checked if the command names none"""
    kept_days: Count = 7
    """age in days up to which kept requests are compared if no source is named"""
    alpha: Level = 0.01
    """upper bound of the false-alarm rate of a whole comparison"""
    min_images: Annotated[int, Field(ge=2)] = 30
    """distinct images that a check needs on either side"""
    max_rows: Count = 1000
    """images per side that are compared, drawn by `seed`"""
    permutations: Count = 2000
    """permutations per test"""
    seed: Seed = 0
    """of the draw and of the permutations"""
    max_age_days: Count | None = None
    """days since its registration after which the champion is reported as old; null: never"""
    accuracy_margin: Share | None = 0.05
    """accuracy in production may be this far below the test figure before an alarm; null: no alarm"""

    @model_validator(mode="after")
    def _can_find_something(self) -> "Monitor":
        if self.min_images > self.max_rows:
            raise ValueError(f"min_images must be at most max_rows ({self.max_rows})")
        if (self.permutations + 1) * self.alpha < MONITOR_CHECKS:
            least = math.ceil(MONITOR_CHECKS / self.alpha)
            raise ValueError(
                f"{self.permutations} permutations cannot show drift at alpha {self.alpha:g} in "
                f"{MONITOR_CHECKS} checks; expected at least {least}"
            )
        return self
