"""`headstart trend`: the champions of the last year, each scored again on the test images of today."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient

from headstart.errors import HeadstartError, ParamsError, TrackingError, UnreachableError
from headstart.pipeline.evaluation.intervals import of_share
from headstart.versions.registry import tracking
from headstart.versions.registry.record import Record, open_record
from headstart.versions.registry.recorded_images import TestImages, earlier_heads, seen_by, test_images
from headstart.versions.release import journal
from headstart.versions.release.answers import score
from headstart.versions.release.journal import Entry

DAYS = 365
MOST_DAYS = 36500


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its interval, and how many images it counts."""

    value: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Reign:
    """A time in which a version was champion, in ISO 8601, UTC; `until` is None for the present one."""

    version: str
    since: str
    until: str | None


@dataclass(frozen=True)
class Champion:
    """A champion.

    Attributes:
        then: on its own test images, as it was registered; None if its record is gone.
        now: on the images that count today; None if there are none, or it does not answer.
        note: the reason for a figure that is missing, or to doubt one.
    """

    reign: Reign
    then: Accuracy | None = None
    now: Accuracy | None = None
    note: str = ""


@dataclass(frozen=True)
class Trend:
    """All champions, oldest first, and the images on which they are compared.

    Attributes:
        source: the version whose test images are those of today.
        test_images: how many it has.
        seen: of those, the images that a champion, or a head it was trained further from, was trained on.
        other_classes: of the rest, the images of classes that not every champion knows.
        images: that are left and count.
    """

    model: str
    source: str
    test_images: int
    seen: int
    other_classes: int
    images: int
    champions: tuple[Champion, ...]

    def sentence(self) -> str:
        """The images that count, in one line."""
        rest = f"{self.images} of {self.test_images} test images of {self.source} count"
        left_out = [f"{self.seen} were trained on by a champion"] if self.seen else []
        if self.other_classes:
            left_out.append(f"{self.other_classes} are of a class that not every champion knows")
        return f"{rest}; {' and '.join(left_out)}" if left_out else rest

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def reigns(entries: Iterable[Entry], first_day: str) -> list[Reign]:
    """The times of all champions that had not ended by the first day (ISO 8601), oldest first."""
    found: list[Reign] = []
    current: str | None = None
    for entry in entries:
        after = entry.change.after
        if after == current:  # a refusal, or an override of the same version
            continue
        if current is not None:
            found[-1] = replace(found[-1], until=entry.when)
        if after is not None:
            found.append(Reign(after, entry.when, None))
        current = after
    return [reign for reign in found if reign.until is None or reign.until >= first_day]


def trend(
    name: str,
    source: str | None = None,
    days: float = DAYS,
    say: Callable[[str], object] = lambda text: None,
) -> Trend:
    """Score each champion of the last days on the test images that none of them was trained on.

    Args:
        name: of the registered model.
        source: the version whose test images count, as `models:/NAME/VERSION`; by default the newest.
        say: called with each step as it starts.

    Raises:
        TrackingError: MLflow is out of reach, or the model had no champion in these days.
        LineageError: the test images cannot be fetched.
    """
    if not 0 < days <= MOST_DAYS:
        raise ParamsError(f"{days:g} days: expected more than 0 and at most {MOST_DAYS}")
    client = tracking.connect()
    first_day = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    with tracking.translated(f"read the journal of {name}"):
        champions = [Champion(reign) for reign in reigns(journal.read(client, name).entries, first_day)]
        source = source or f"models:/{name}/{_newest(client, name)}"
    if not champions:
        raise TrackingError(
            f"{name} had no champion in the last {days:g} days; `headstart promote` makes a version "
            "champion, and `headstart history` lists every change"
        )
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        target = open_record(source, _new(folder / "today"))
        everything = test_images(target, folder / "images")
        confidence = float(target.params["evaluate"]["confidence"])
        records, notes = _records(name, champions, folder)
        unseen = everything.without(_seen(records, notes, folder))
        left = _of_classes(unseen, records.values())
        scores = _scores(name, records, left, confidence, notes, say)
        recorded = {number: _recorded(record) for number, record in records.items()}
    return Trend(
        model=name,
        source=target.name,
        test_images=len(everything.files),
        seen=len(everything.files) - len(unseen.files),
        other_classes=len(unseen.files) - len(left.files),
        images=len(left.files),
        champions=tuple(
            replace(
                champion,
                then=recorded.get(champion.reign.version),
                now=scores.get(champion.reign.version),
                note="; ".join(notes.get(champion.reign.version, [])),
            )
            for champion in champions
        ),
    )


def _newest(client: MlflowClient, name: str) -> int:
    found = [int(version.version) for version in client.search_model_versions(f"name = '{name}'")]
    if not found:
        raise TrackingError(f"{name} has no version left, so there are no test images of today")
    return max(found)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _records(
    name: str, champions: Sequence[Champion], folder: Path
) -> tuple[dict[str, Record], dict[str, list[str]]]:
    """The records by version, and the reasons for those that are gone."""
    records: dict[str, Record] = {}
    notes: dict[str, list[str]] = {}
    for number in sorted({champion.reign.version for champion in champions}, key=int):
        try:
            records[number] = open_record(f"models:/{name}/{number}", _new(folder / number))
        except UnreachableError:
            raise
        except HeadstartError as error:
            notes[number] = [_first_line(error)]
    return records, notes


def _seen(records: dict[str, Record], notes: dict[str, list[str]], folder: Path) -> set[str]:
    """Pixel digests that a champion or a head before it was trained or selected on."""
    seen: set[str] = set()
    for number, record in list(records.items()):
        try:
            earlier = earlier_heads(record, folder / f"{number} earlier")
            own = seen_by(record) | earlier.pixels
            _recorded(record)
        except UnreachableError:
            raise
        except HeadstartError as error:  # which images it has seen is unknown, so it cannot be compared
            notes.setdefault(number, []).append(_first_line(error))
            del records[number]
            continue
        seen |= own
        if earlier.unknown:
            note = f"it was trained further from head {earlier.unknown[:12]}, whose images are unknown"
            notes.setdefault(number, []).append(note)
    return seen


def _of_classes(images: TestImages, records: Iterable[Record]) -> TestImages:
    """The images whose class every version knows."""
    known = [set(record.classes) for record in records]
    others = {
        pixels
        for pixels, label in zip(images.pixels, images.labels, strict=True)
        if not all(label in classes for classes in known)
    }
    return images.without(others)


def _scores(
    name: str,
    records: Iterable[str],
    images: TestImages,
    confidence: float,
    notes: dict[str, list[str]],
    say: Callable[[str], object],
) -> dict[str, Accuracy]:
    found: dict[str, Accuracy] = {}
    for number in records if images.files else ():
        say(f"{len(images.files)} images to version {number}")
        try:
            labels = score(f"models:/{name}/{number}", images.files).labels
        except UnreachableError:
            raise
        except HeadstartError as error:
            notes.setdefault(number, []).append(_first_line(error))
            continue
        right = np.array([a == b for a, b in zip(labels, images.labels, strict=True)])
        bounds = of_share(right, images.groups if images.are_grouped else None, confidence)
        found[number] = Accuracy(float(right.mean()), bounds.low, bounds.high, len(right))
    return found


def _recorded(record: Record) -> Accuracy:
    metrics = record.metrics
    bounds = metrics["intervals"]["accuracy"]
    return Accuracy(metrics["accuracy"], bounds["low"], bounds["high"], metrics["images"])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
