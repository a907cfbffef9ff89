"""Accuracy in production over time, by version and by class, against the figures of the version's test."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

from headstart.ground.wording import points, share
from headstart.versions.monitoring.feedback import alarms
from headstart.versions.monitoring.feedback.alarms import Alarm, Limits
from headstart.versions.monitoring.feedback.answers import Answers
from headstart.versions.monitoring.feedback.figures import Figure, Floats, difference, weighted_share
from headstart.versions.monitoring.feedback.tested import OwnTest
from headstart.versions.monitoring.settings import Monitor

DAYS, WEEKS = timedelta(days=21), timedelta(weeks=26)  # the longest times shown by day, and by week
LEVEL = 0.95  # of the intervals of a version that has no record
Unit = Literal["day", "week", "month"]
FREQUENCY: dict[Unit, str] = {"day": "D", "week": "W", "month": "M"}


@dataclass(frozen=True)
class VersionRow:
    """The answers of one version.

    Attributes:
        images: readable ones that it was not trained on; the figures are about these.
        refused: of them, those that got no label; the figures count their most probable class.
        unreadable, seen: images that do not count, because they cannot be read or the version was trained or
            selected on them.
        labelled: images with a true label; `picked` were chosen because they are doubtful, of which
            `picked_labelled` have one.
        accuracy: of all images, in which a picked one counts for itself and another one for those like it
            without a label; None if only picked ones have labels.
        answered: the same for the images that got a label.
        change: production less test.
        estimate: of the accuracy over all images, from their confidences.
        note: the reason for a figure that is missing.
    """

    version: str
    images: int
    refused: int
    unreadable: int
    seen: int
    labelled: int
    picked: int
    picked_labelled: int
    accuracy: Figure | None
    answered: Figure | None
    test: Figure | None
    change: Figure | None
    estimate: Figure | None
    note: str


@dataclass(frozen=True)
class ClassRow:
    """A true class of the newest version's images; None if no image that was not picked shows a figure."""

    name: str
    is_known: bool
    labelled: int
    recall: Figure | None
    precision: Figure | None
    test_recall: Figure | None
    test_precision: Figure | None


@dataclass(frozen=True)
class PeriodRow:
    """The answers of one version in one day, week or month, named by its first day."""

    since: str
    version: str
    images: int
    labelled: int
    accuracy: Figure | None
    estimate: Figure | None


@dataclass(frozen=True)
class Feedback:
    """The report; `versions` and `classes` begin with the newest version, `periods` with the oldest."""

    source: str
    level: float
    unit: Unit
    versions: tuple[VersionRow, ...]
    classes: tuple[ClassRow, ...]
    periods: tuple[PeriodRow, ...]
    alarms: tuple[Alarm, ...]

    def sentence(self) -> str:
        """The newest version's accuracy in one line."""
        if not self.versions:
            return f"there are no {self.source}"
        return _sentence(self.versions[0], self.level)

    def to_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            **asdict(self),
            "alarms": [each.to_dict() for each in self.alarms],
            "sentence": self.sentence(),
        }


def _sentence(row: VersionRow, level: float) -> str:
    if row.accuracy is None and row.estimate is None:
        return f"{row.version}: {row.labelled} of {row.images} images have a label; {row.note}"
    figure = row.accuracy or row.estimate
    assert figure is not None
    bounds = f"{100 * level:g}% interval {share(figure.low)} to {share(figure.high)}"
    how = (
        f"{share(figure.value)} right ({bounds}) by the labels of {figure.images} of {row.images} images"
        if row.accuracy
        else f"without labels, an accuracy of {share(figure.value)} ({bounds}) is estimated from the "
        f"confidences of {row.images} images"
    )
    against = f"; {share(row.test.value)} in its test" if row.test else ""
    if row.change:
        ends = f"{points(row.change.low)} to {points(row.change.high)}"
        against += f": {points(row.change.value)} ({ends})"
    return f"{row.version}: {how}{against}"


def report(
    answers: Answers,
    tests: Mapping[str, OwnTest | str],
    settings: Monitor,
    now: datetime,
) -> Feedback:
    """All figures of some answers.

    Args:
        tests: by version: its test, or the reason why there is none.
    """
    table = _with_seen(answers.table, tests)
    versions = _newest_first(table)
    newest = tests.get(versions[0]) if versions else None
    level = newest.level if isinstance(newest, OwnTest) else LEVEL
    unit = _unit(table["time"])
    return Feedback(
        source=answers.source,
        level=level,
        unit=unit,
        versions=tuple(_version(table, name, tests[name], level) for name in versions),
        classes=tuple(_classes(table, versions[0], answers, newest, level)) if versions else (),
        periods=tuple(_periods(table, tests, unit, level)),
        alarms=tuple(each for name in versions for each in alarms_of(table, tests[name], settings, now)),
    )


def _with_seen(table: pd.DataFrame, tests: Mapping[str, OwnTest | str]) -> pd.DataFrame:
    """The table with `seen`: its version was trained on this file; and `counts`: figures are about it."""
    known = {name: test.known for name, test in tests.items() if isinstance(test, OwnTest)}
    pairs = zip(table["picture"], table["version"], strict=True)
    seen = np.array([picture in known.get(version, ()) for picture, version in pairs], bool)
    return table.assign(seen=seen, counts=table["predicted"].notna() & ~seen)


def _newest_first(table: pd.DataFrame) -> list[str]:
    last = table.groupby("version")["time"].max()
    return [str(name) for name in last.sort_values(ascending=False, na_position="last").index]


def _version(table: pd.DataFrame, name: str, test: OwnTest | str, level: float) -> VersionRow:
    own = table[table["version"] == name]
    rows = own[own["counts"]]
    accuracy = accuracy_of(rows, level)
    refused = int(rows["refused"].sum())
    known = test.accuracy(level) if isinstance(test, OwnTest) else None
    return VersionRow(
        version=name,
        images=len(rows),
        refused=refused,
        unreadable=int(own["predicted"].isna().sum()),
        seen=int(own["seen"].sum()),
        labelled=int(rows["label"].notna().sum()),
        picked=int(rows["picked"].sum()),
        picked_labelled=int((rows["picked"] & rows["label"].notna()).sum()),
        accuracy=accuracy,
        answered=accuracy_of(rows[~rows["refused"]], level) if refused else None,
        test=known,
        change=difference(accuracy, known) if accuracy and known else None,
        estimate=_estimate(rows, test, level),
        note=_note(rows, test, accuracy),
    )


def _note(rows: pd.DataFrame, test: OwnTest | str, accuracy: Figure | None) -> str:
    picked, labelled = rows["picked"], rows["label"].notna()
    notes = []
    if accuracy is None and labelled.any():
        notes.append("only images picked for being doubtful have labels, which do not show the accuracy")
    elif accuracy is None:
        notes.append("no image that counts has a label")
    elif picked.any() and not (picked & labelled).any():
        notes.append(
            f"the {int(picked.sum())} images picked for being doubtful have no labels, and are left out"
        )
    if isinstance(test, str):
        notes.append(f"no test figure: {test}")
    return "; ".join(notes)


def _estimate(rows: pd.DataFrame, test: OwnTest | str, level: float) -> Figure | None:
    if isinstance(test, str) or rows.empty:
        return None
    confidence = rows["confidence"].to_numpy(np.float64)
    return test.calibration.estimate(confidence, rows["picture"].tolist(), level)


def accuracy_of(rows: pd.DataFrame, level: float) -> Figure | None:
    """The share of right answers among these images, by those that have labels; None if it is unknown."""
    weights = weights_of(rows)
    if weights is None:
        return None
    own = rows[weights > 0]
    right = (own["label"] == own["predicted"]).to_numpy(bool)
    return weighted_share(right, weights[weights > 0], own["picture"].tolist(), level)


def weights_of(rows: pd.DataFrame) -> Floats | None:
    """How many images each one stands for: float64 [N], 0 without a label.

    Picked images and others are two strata: labels of the picked ones stand for picked ones alone. None if
    others exist and none of them has a label.
    """
    labelled, picked = rows["label"].notna().to_numpy(bool), rows["picked"].to_numpy(bool)
    weights = np.zeros(len(rows))
    for stratum in (picked, ~picked):
        own = stratum & labelled
        if own.any():
            weights[own] = stratum.sum() / own.sum()
        elif stratum.any() and stratum is not picked:
            return None
    return weights if labelled.any() else None


def _classes(
    table: pd.DataFrame, version: str, answers: Answers, test: OwnTest | str | None, level: float
) -> Iterator[ClassRow]:
    rows = table[(table["version"] == version) & table["counts"]]
    weights = weights_of(rows)
    known = answers.classes.get(version, ())
    names = [*known, *sorted({*rows["label"].dropna()} - {*known})]
    own = test if isinstance(test, OwnTest) else None
    for name in names if weights is not None else ():
        assert weights is not None
        yield ClassRow(
            name=name,
            is_known=name in known,
            labelled=int((rows["label"] == name).sum()),
            recall=_share_of(rows, weights, "label", name, level),
            precision=_share_of(rows, weights, "predicted", name, level),
            test_recall=None if own is None else own.recall(name),
            test_precision=None if own is None else own.precision(name),
        )


def _share_of(rows: pd.DataFrame, weights: Floats, column: str, name: str, level: float) -> Figure | None:
    """The share of right answers among labelled images with a value in a column."""
    chosen = (weights > 0) & (rows[column] == name).to_numpy(bool)
    own = rows[chosen]
    if own.empty or own["picked"].all():
        return None
    right = (own["label"] == own["predicted"]).to_numpy(bool)
    return weighted_share(right, weights[chosen], own["picture"].tolist(), level)


def _unit(times: pd.Series) -> Unit:
    span = times.max() - times.min()
    if pd.isna(span) or span <= DAYS:
        return "day"
    return "week" if span <= WEEKS else "month"


def _periods(
    table: pd.DataFrame, tests: Mapping[str, OwnTest | str], unit: Unit, level: float
) -> Iterator[PeriodRow]:
    rows = table[table["counts"] & table["time"].notna()]
    if rows.empty:
        return
    periods = rows["time"].dt.tz_localize(None).dt.to_period(FREQUENCY[unit])
    for (period, version), own in rows.groupby([periods, "version"], sort=True):
        yield PeriodRow(
            since=f"{period.start_time:%Y-%m-%d}",
            version=version,
            images=len(own),
            labelled=int(own["label"].notna().sum()),
            accuracy=accuracy_of(own, level),
            estimate=_estimate(own, tests[version], level),
        )


def alarms_of(table: pd.DataFrame, test: OwnTest | str, settings: Monitor, now: datetime) -> list[Alarm]:
    """The alarms of one version: from labels, else from confidences; none without a margin or a test."""
    if settings.accuracy_margin is None or isinstance(test, str):
        return []
    limits = Limits(
        test.version,
        test.registered,
        test.accuracy(1 - settings.alpha),
        settings.accuracy_margin,
        settings.alpha,
        settings.min_images,
    )
    own = table[(table["version"] == test.version) & table["counts"] & table["time"].notna()]
    own = own.assign(
        copies=own["picture"],
        labelled=own["label"].notna() & ~own["picked"],
        right=own["label"] == own["predicted"],
    )
    found = alarms.from_labels(own[own["labelled"]].drop_duplicates("copies"), limits)
    if found is None:
        found = alarms.from_estimates(own, test.calibration, limits, now)
    return [] if found is None else [found]
