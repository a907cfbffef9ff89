"""An answered image as it is kept, and its row in the database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headstart.pipeline.data.reading import shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LONGEST_NAME = 1000  # characters
COLUMNS = (
    *("id", "request", "time", "name", "model_version"),
    *("label", "probabilities", "error", "sha256", "image"),
)


@dataclass(frozen=True)
class Kept:
    """One answered image.

    Attributes:
        id: REQUEST:INDEX; no request has a colon in its id.
        time: of the answer, in UTC.
        name: as the client named the image; text alone, never a path that is opened.
        model_version: that answered: `models:/NAME/VERSION` or `head DIGEST`.
        label: None if the image was refused or cannot be read.
        probabilities: by class; None if the image cannot be read.
        error: why there is no label.
        sha256: of the image file's bytes; None if there were none.
        image: the file; None if it is not kept.
    """

    id: str
    time: datetime
    name: str | None
    model_version: str
    label: str | None
    probabilities: dict[str, float] | None
    error: str | None
    sha256: str | None
    image: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row for programs."""
        image = None if self.image is None else str(self.image)
        return {**vars(self), "time": self.time.isoformat(timespec="milliseconds"), "image": image}


def values_of(row: Kept, image: str | None) -> tuple[object, ...]:
    """The values of COLUMNS; `image` is the digest of a file that the store has, or None."""
    return (
        row.id,
        request_of(row.id),
        micros(row.time),
        None if row.name is None else shown(row.name)[:LONGEST_NAME],
        row.model_version,
        row.label,
        None if row.probabilities is None else json.dumps(row.probabilities),
        None if row.error is None else shown(row.error),
        row.sha256,
        image,
    )


def row_of(values: Sequence[Any], image: Path | None) -> Kept:
    """The row with these values of COLUMNS."""
    id_, _, time, name, version, label, probabilities, error, sha256, _ = values
    found = None if probabilities is None else json.loads(probabilities)
    return Kept(id_, time_of(time), name, version, label, found, error, sha256, image)


def request_of(id_: str) -> str:
    """The id of the request that an image belongs to."""
    return id_.rpartition(":")[0]


def micros(time: datetime) -> int:
    """Microseconds since 1970.

    Raises:
        TypeError: the time has no time zone.
    """
    return (time - EPOCH) // MICROSECOND


def time_of(value: int) -> datetime:
    """The time that is as many microseconds after 1970."""
    return EPOCH + value * MICROSECOND
