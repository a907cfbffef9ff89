"""Whether accuracy in production is below the test figure by more than a margin, however often one looks.

With labels: the upper end of accuracy in a calendar month is that of a confidence sequence, which all looks
during the month stay below with a probability of at most alpha (Ville's inequality): an accuracy is refused
if a bet against it has multiplied its stake by 1 / alpha. `monitor.alpha` is spent over the months, 1 / (m (m
+ 1)) of it on the m-th since registration. The uncertainty of the test figure is added as Newcombe adds it
for a difference of two shares.

Without labels: the estimate of each complete week, looked at once, with the same spending over weeks; enough
labels of that week that show no such drop overrule it.

Sources: A. Ramdas et al., Game-theoretic statistics and safe anytime-valid inference, Statistical Science 38,
2023; H. Robbins, Statistical methods related to the law of the iterated logarithm, 1970 (the mixture).
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import betainc, betaln

from headstart.ground.wording import share
from headstart.versions.monitoring.feedback.estimate import Calibration
from headstart.versions.monitoring.feedback.figures import Figure

Kind = Literal["labels", "estimate"]
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Alarm:
    """Accuracy in production that is too low.

    Attributes:
        kind: `labels`, or `estimate` if only confidences say so.
        since: first day of the month or week, ISO 8601.
        accuracy: in that time; for `estimate`, the estimated one.
        images: that it counts.
        test: the version's test figure.
        margin: `monitor.accuracy_margin`.
    """

    version: str
    kind: Kind
    since: str
    accuracy: float
    images: int
    test: float
    margin: float

    @property
    def cause(self) -> str:
        """Names what people are notified of once: this version is too low by labels, or by an estimate."""
        return f"{self.kind} {self.version}"

    def sentence(self) -> str:
        """One line for a person."""
        how = (
            f"{share(self.accuracy)} of {self.images} labelled images are right"
            if self.kind == "labels"
            else f"an accuracy of {share(self.accuracy)} is estimated from the confidences of "
            f"{self.images} images"
        )
        time = f"in the {'month' if self.kind == 'labels' else 'week'} from {self.since}"
        sure = "" if self.kind == "labels" else " This is an estimate: label some images to know."
        return (
            f"{self.version}: {how} {time}, more than {100 * self.margin:g} points below the test figure of "
            f"{share(self.test)}.{sure}"
        )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence()}


@dataclass(frozen=True)
class Limits:
    """How far below the test figure accuracy may be, and how often an alarm may be false.

    Attributes:
        registered: the day from which months and weeks are counted.
        test: the version's test figure, its interval at the level 1 - alpha.
        alpha: the share of versions with any false alarm of one kind.
    """

    version: str
    registered: datetime
    test: Figure
    margin: float
    alpha: float
    min_images: int


def from_labels(rows: pd.DataFrame, limits: Limits) -> Alarm | None:
    """The alarm of the first month whose labels show it.

    Args:
        rows: one per distinct picture that was labelled, none of them picked for being doubtful: `time` (UTC)
            and `right`.
    """
    for number, month, own in _periods(rows, "M", limits):
        right, images = int(own["right"].sum()), len(own)
        alpha = limits.alpha / (number * (number + 1))
        if images >= limits.min_images and is_below(right, images, limits.test, limits.margin, alpha):
            return _alarm(limits, "labels", month, right / images, images)
    return None


def from_estimates(
    rows: pd.DataFrame, calibration: Calibration, limits: Limits, now: datetime
) -> Alarm | None:
    """The alarm of the first complete week whose estimate is too low.

    Args:
        rows: one per image: `time` (UTC), `confidence`, `copies`, a name that copies of a picture share,
            `labelled`, if it is so without being picked for being doubtful, and then `right`.
    """
    for number, week, own in _periods(rows, "W", limits):
        complete = week.to_pydatetime() + WEEK <= now
        if not complete or own["copies"].nunique() < limits.min_images or _is_refuted(own, limits):
            continue
        confidence, copies = own["confidence"].to_numpy(np.float64), own["copies"].tolist()
        level = 1 - 2 * limits.alpha / (number * (number + 1))
        if calibration.change(confidence, copies, level).high < -limits.margin:
            accuracy = float(calibration.right(confidence).mean())
            return _alarm(limits, "estimate", week, accuracy, len(own))
    return None


def _is_refuted(rows: pd.DataFrame, limits: Limits) -> bool:
    """Whether enough labels show an accuracy within the margin, whatever is estimated."""
    own = rows[rows["labelled"]].drop_duplicates("copies")
    return len(own) >= limits.min_images and own["right"].mean() >= limits.test.value - limits.margin


def is_below(right: int, images: int, test: Figure, margin: float, alpha: float) -> bool:
    """Whether the interval of the difference to the test figure lies below the margin, at this look.

    Source of its form: R. G. Newcombe, Interval estimation for the difference between independent
    proportions, Statistics in Medicine 17, 1998 (method 10), with the end of the confidence sequence in place
    of Wilson's.
    """
    below, uncertain = test.value - margin - right / images, test.value - test.low
    if below <= uncertain:
        return False
    limit = right / images + math.sqrt(below**2 - uncertain**2)
    return log_evidence(right, images, limit) >= -math.log(alpha)


def log_evidence(right: int, images: int, least: float) -> float:
    """Logarithm of the e-value against an accuracy of at least `least`.

    It is the likelihood ratio of a uniform mixture of all accuracies below `least`, and `least` itself.
    """
    if least <= 0:
        return -math.inf
    wrong = images - right
    below = float(betainc(right + 1, wrong + 1, least))
    if below <= 0:
        return -math.inf
    mixed = math.log(below) + float(betaln(right + 1, wrong + 1)) - math.log(least)
    missed = wrong * math.log1p(-least) if wrong else 0.0
    return mixed - right * math.log(least) - missed


def _alarm(limits: Limits, kind: Kind, since: pd.Timestamp, accuracy: float, images: int) -> Alarm:
    day = f"{since:%Y-%m-%d}"
    return Alarm(limits.version, kind, day, accuracy, images, limits.test.value, limits.margin)


def _periods(
    rows: pd.DataFrame, unit: Literal["M", "W"], limits: Limits
) -> Iterator[tuple[int, pd.Timestamp, pd.DataFrame]]:
    """The number of each month or week since registration, from 1, its start and its rows, in order."""
    if rows.empty:
        return
    first = pd.Timestamp(limits.registered.astimezone(UTC)).tz_localize(None).to_period(unit)
    periods = rows["time"].dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period(unit)
    for period, own in rows.groupby(periods, sort=True):
        number = max(1, (period - first).n + 1)
        yield number, period.start_time.tz_localize("UTC"), own
