"""How often is the alarm about accuracy false if one looks every day, and how soon is it right?

Answers are drawn: the test of a version, then a number of labelled images per day. Every day the alarm looks
at all labels so far, as `monitoring/daily` does. Beside it stands what one might do instead: compare the last
30 days with the test figure each day, at the same level.

.venv/bin/python bench/accuracy_alarms.py
"""

import argparse
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from machine import keep

from headstart.pipeline.evaluation.intervals import wilson
from headstart.versions.monitoring.feedback.alarms import is_below
from headstart.versions.monitoring.feedback.figures import Figure, difference

MARGIN, ALPHA, LEAST = 0.05, 0.01, 30
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
RECENT = 30  # days of the plain comparison


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument(
        "--accuracy", type=float, default=0.9, help="of the version on images like its test's"
    )
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = [
        measured(test, daily, drop, chosen.accuracy, chosen.days, chosen.draws)
        for test, daily, drop in itertools.product((100, 400), (5, 20), (0.0, 0.05, 0.1, 0.2))
    ]
    settings = {"margin": MARGIN, "alpha": ALPHA, "accuracy": chosen.accuracy}
    size = {"draws": chosen.draws, "days": chosen.days}
    keep("accuracy_alarms", {**settings, **size, "rows": rows}, chosen.out)


def measured(test: int, daily: int, drop: float, accuracy: float, days: int, draws: int) -> dict[str, Any]:
    """Shares of versions with an alarm, and the median day of the first one."""
    found = [one_version(test, daily, accuracy, drop, days, seed) for seed in range(draws)]
    own, plain = ([day for day in each if day is not None] for each in zip(*found, strict=True))
    bounds = wilson(len(own), draws, 0.95)
    row = {
        "test_images": test,
        "labels_per_day": daily,
        "drop": drop,
        "alarms": len(own) / draws,
        "interval": [bounds.low, bounds.high],
        "median_day": float(np.median(own)) if own else None,
        "alarms_of_the_plain_comparison": len(plain) / draws,
    }
    print(row, flush=True)
    return row


def one_version(
    test: int, daily: int, accuracy: float, drop: float, days: int, seed: int
) -> tuple[int | None, int | None]:
    """The day of the first alarm, and of the first one by the plain comparison."""
    random = np.random.default_rng([seed, test, daily, round(100 * drop)])
    hits = int(random.binomial(test, accuracy))
    right = random.binomial(daily, accuracy - drop, days)
    bounds = wilson(hits, test, 1 - ALPHA)
    tested = Figure(hits / test, bounds.low, bounds.high, test)
    own = plain = None
    month, first, since = None, 0, 0
    for day in range(days):
        now = BEGIN + timedelta(days=day)
        if month != now.month:
            month, since, first = now.month, day, first + 1
        count, images = int(right[since : day + 1].sum()), daily * (day + 1 - since)
        alpha = ALPHA / (first * (first + 1))
        if own is None and images >= LEAST and is_below(count, images, tested, MARGIN, alpha):
            own = day + 1
        if plain is None and day * daily >= LEAST and is_worse(right[: day + 1][-RECENT:], daily, tested):
            plain = day + 1
    return own, plain


def is_worse(right: np.ndarray, daily: int, tested: Figure) -> bool:
    """Whether the interval of the difference, at the same level, lies below the margin."""
    count, images = int(right.sum()), daily * len(right)
    bounds = wilson(count, images, 1 - ALPHA)
    return difference(Figure(count / images, bounds.low, bounds.high, images), tested).high < -MARGIN


if __name__ == "__main__":
    main()
