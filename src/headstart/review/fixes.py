"""The file of decisions, `fixes.csv`: written by the review, and by hand."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from headstart.errors import DataError
from headstart.ground.files import write_text

Action = Literal["keep", "remove", "relabel", "group"]
ACTIONS: tuple[str, ...] = get_args(Action)
COLUMNS = ("path", "action", "label", "group", "note")


@dataclass(frozen=True)
class Decision:
    """The decision about one image.

    Attributes:
        path: the image, relative to the data folder.
        label: the right class, for `relabel`.
        group: an image that shares its group, for `group`.
        note: anything; nobody reads it but people.
    """

    path: str
    action: str
    label: str = ""
    group: str = ""
    note: str = ""


def read_fixes(path: Path) -> list[Decision]:
    """Read the decisions, in the order of the file.

    Raises:
        DataError: the file is missing or no such table, or a line has an unknown action, lacks the label or
            the group that its action needs, or names an image again; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(
            f"there is no {path}; `headstart review` writes it, or write it with the columns path and action"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table in UTF-8: {error}") from error
    rows = csv.DictReader(io.StringIO(text))
    columns = [str(name).strip() for name in rows.fieldnames or ()]
    if lacking := {"path", "action"} - set(columns):
        raise DataError(
            f"{path} has no column {' and no column '.join(sorted(lacking))}; expected {', '.join(COLUMNS)}"
        )
    rows.fieldnames = columns
    found: dict[str, Decision] = {}
    for row in rows:
        values = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if not any(values.values()):
            continue
        decision = Decision(**values)
        _check(decision, f"{path}, line {rows.line_num}")
        if decision.path in found:
            raise DataError(f"{path}, line {rows.line_num}: {decision.path} is named before; keep one line")
        found[decision.path] = decision
    return list(found.values())


def write_fixes(path: Path, decisions: Iterable[Decision]) -> None:
    """Replace the file; a reader never sees half of it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows([getattr(each, name) for name in COLUMNS] for each in decisions)
    write_text(path, text.getvalue())


def _check(decision: Decision, place: str) -> None:
    if not decision.path:
        raise DataError(f"{place}: there is no path; expected an image, relative to data/")
    if decision.action not in ACTIONS:
        raise DataError(f"{place}: the action is {decision.action!r}, expected one of {', '.join(ACTIONS)}")
    if decision.action == "relabel" and not decision.label:
        raise DataError(f"{place}: relabel needs the right class in the column label")
    if decision.action == "group" and not decision.group:
        raise DataError(f"{place}: group needs, in the column group, an image that shares its group")
