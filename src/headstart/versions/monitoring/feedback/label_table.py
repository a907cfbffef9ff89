"""Read a table of true labels: a row per image, named by the id of its answer or by its path."""

import csv
import difflib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from headstart.errors import DataError
from headstart.ground.wording import named, shown

Key = Literal["id", "path"]
SEPARATORS = (",", ";", "\t")
FAULTS_SHOWN = 5
CLASSES_SHOWN = 12


@dataclass(frozen=True)
class Given:
    """A label that someone gave, in line `line` of the table; `when` is None if the table has no time."""

    line: int
    key: str
    label: str
    when: datetime | None


@dataclass(frozen=True)
class LabelTable:
    """The rows with a label.

    Attributes:
        by: what `key` of a row is.
        unlabelled: rows whose label is empty.
        repeated: rows that say again what an earlier one said.
    """

    path: Path
    by: Key
    rows: tuple[Given, ...]
    unlabelled: int
    repeated: int


def read_labels(path: Path) -> LabelTable:
    """Read a CSV file with the columns `id` or `path`, `label` and, if wanted, `when` (ISO 8601; else UTC).

    Commas, semicolons or tabs separate its cells; a byte-order mark and any ends of lines are accepted.

    Raises:
        DataError: it cannot be read or lacks a column, or rows are wrong (first 5 named by their lines).
    """
    text = _text(path)
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    by: Key | None = next((name for name in ("id", "path") if name in columns), None)
    if by is None or "label" not in columns:
        raise DataError(
            f"{path} has the columns {', '.join(columns) or '(none)'}; expected id or path, label, and if "
            "wanted when, in its first line"
        )
    reader.fieldnames = columns
    return _checked(path, by, list(_rows(path, reader)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}); save it as CSV in UTF-8") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; name a table of labels") from error


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; correct the row") from error


def _checked(path: Path, by: Key, rows: Sequence[tuple[int, dict[str, str]]]) -> LabelTable:
    found: dict[str, Given] = {}
    faults: list[str] = []
    unlabelled = repeated = 0
    for line, row in rows:
        if None in row:
            faults.append(f"line {line} has more cells than the first line has columns")
            continue
        key, label = (row.get(by) or "").strip(), (row.get("label") or "").strip()
        if not label:
            unlabelled += bool(key)
        elif not key:
            faults.append(f"line {line} has the label {shown(label)} but no {by}")
        elif key in found:
            repeated += 1
            if found[key].label != label:
                before = found[key]
                faults.append(f"line {line}: {key} is {label}, but {before.label} in line {before.line}")
        else:
            when = _time((row.get("when") or "").strip())
            if isinstance(when, str):
                faults.append(f"line {line}: {when}")
            else:
                found[key] = Given(line, key, label, when)
    raise_faults(path, faults)
    return LabelTable(path, by, tuple(found.values()), unlabelled, repeated)


def raise_faults(path: Path, faults: Collection[str]) -> None:
    """Refuse a table with faults, each of which names its line."""
    if faults:
        raise DataError(f"{path}: {_listed(faults)}. Correct these rows; no label was stored")


def _listed(faults: Collection[str]) -> str:
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return "; ".join(list(faults)[:FAULTS_SHOWN]) + more


def _time(text: str) -> datetime | str | None:
    """A time, or what is wrong with it."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return f"{shown(text)} is not a time in ISO 8601, such as 2026-03-01 or 2026-03-01T08:30:00Z"
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time if time <= datetime.now(UTC) else f"the time {text} is yet to come"


@dataclass(frozen=True)
class Matched:
    """The labels by the id of the answer they belong to, and the keys that no answer has."""

    labels: Mapping[str, Given]
    unknown: tuple[str, ...]


def match(
    table: LabelTable,
    ids: Mapping[str, Sequence[str]],
    classes: Mapping[str, Collection[str]],
    new_classes: bool,
) -> Matched:
    """Find the answer that each row means.

    Args:
        ids: the ids of answers that a key may mean; several are an error.
        classes: of the version that gave an answer, by its id.
        new_classes: take labels that are not among these.

    Raises:
        DataError: a row means several answers, contradicts another row, or has an unknown class.
    """
    found: dict[str, Given] = {}
    unknown, faults = [], []
    for row in table.rows:
        meant = ids.get(row.key, ())
        if not meant:
            unknown.append(row.key)
        elif len(meant) > 1:
            faults.append(f"line {row.line}: {row.key} may be {named(meant, 4)}; write the one that is meant")
        elif (other := found.get(meant[0])) is not None and other.label != row.label:
            faults.append(
                f"line {row.line}: {meant[0]} is {row.label}, but {other.label} in line {other.line}"
            )
        elif not new_classes and row.label not in classes[meant[0]]:
            faults.append(_unknown_class(row, classes[meant[0]]))
        else:
            found[meant[0]] = row
    raise_faults(table.path, faults)
    return Matched(found, tuple(unknown))


def _unknown_class(row: Given, classes: Collection[str]) -> str:
    close = difflib.get_close_matches(row.label, classes, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return (
        f"line {row.line}: {shown(row.label)} is not among the classes "
        f"{named(sorted(classes), CLASSES_SHOWN)}{hint} (--new-class takes it as one that the model lacks)"
    )
