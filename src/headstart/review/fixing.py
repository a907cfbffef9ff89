"""Mend the data as decided: files go to a quarantine or change their class, and all can be taken back."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from headstart import repository
from headstart.errors import DataError
from headstart.ground import paths
from headstart.ground.files import inside, replacing, write_json, write_text
from headstart.ground.reading import load_json
from headstart.ground.wording import named
from headstart.pipeline.data.dataset import read_dataset
from headstart.pipeline.data.labels import path_in, read_table, write_table
from headstart.pipeline.data.layout import Found
from headstart.pipeline.data.settings import Data
from headstart.review.fixes import Decision

QUARANTINE = Path("quarantine")  # beside data/, so that DVC does not version it
REPAIR = "restore it from a backup, or move its files back by hand and delete it"
JOURNAL, UNDONE = "journal.json", "undone.json"
SHOWN = 10


@dataclass(frozen=True)
class Move:
    """A file's place before and after, relative to the project."""

    before: str
    after: str


@dataclass(frozen=True)
class Fixed:
    """Result of a fix; `folder` holds the journal that takes it back."""

    removed: tuple[Move, ...]
    relabelled: tuple[Move, ...]
    in_table: tuple[str, ...]
    folder: Path
    before: str | None
    after: str | None

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {**asdict(self), "folder": str(self.folder)}

    def sentences(self) -> list[str]:
        """Sentences on what changed, and what to do next."""
        if not (self.removed or self.relabelled or self.in_table):
            return ["nothing to do: every decision is keep, or was carried out before"]
        lines = []
        if self.removed:
            what = named([move.before for move in self.removed], SHOWN)
            lines.append(f"moved {len(self.removed)} to {self.folder}: {what}")
        if self.relabelled:
            moves = named([f"{move.before} -> {move.after}" for move in self.relabelled], SHOWN)
            lines.append(f"relabelled {len(self.relabelled)}: {moves}")
        if self.in_table:
            lines.append(
                f"changed {len(self.in_table)} rows of the table of labels: {named(self.in_table, SHOWN)}"
            )
        lines.append(f"data.dvc: {_short(self.before)} -> {_short(self.after)}")
        lines.append("next: `dvc repro`, or `headstart fix --undo` to take this back")
        return lines


def fix(decisions: Sequence[Decision], data: Data, now: datetime) -> Fixed:
    """Carry out decisions and version the result with DVC. A journal is written before anything is moved.

    Raises:
        DataError: a decision names an image or a class that is not there, or what the project cannot hold;
            nothing was changed.
    """
    if data.source:
        raise DataError(
            f"data.source is {data.source}: every flow brings its images, and would bring these back; mend "
            "them there, or set data.source to null"
        )
    dataset = read_dataset(paths.DATA, data)
    found = {each.path: each for each in dataset.images}
    wanted = [each for each in decisions if each.action != "keep" and not _done_before(each, found)]
    _check(wanted, found, data)
    folder = QUARANTINE / now.strftime("%Y%m%d-%H%M%S")
    before = repository.data_version()
    if not wanted:
        return Fixed((), (), (), folder, before, before)
    removed = tuple(_removal(each, folder) for each in wanted if each.action == "remove")
    relabelled = () if data.labels else tuple(_relabelling(wanted, found))
    in_table = wanted if data.labels else []
    folder.mkdir(parents=True)
    write_text(QUARANTINE / ".gitignore", "*\n")
    journal: dict[str, Any] = {"moves": [vars(move) for move in (*removed, *relabelled)], "table": None}
    if data.labels:
        journal["table"] = data.labels
        shutil.copy2(paths.DATA / data.labels, folder / Path(data.labels).name)
    write_json(folder / JOURNAL, journal)
    for move in (*removed, *relabelled):
        _rename(Path(move.before), Path(move.after))
    if data.labels:
        _edit_table(paths.DATA / data.labels, in_table, found)
    repository.add(paths.DATA)
    return Fixed(
        removed, relabelled, tuple(each.path for each in in_table), folder, before, repository.data_version()
    )


def undo() -> list[str]:
    """Take back the last fix that was not taken back yet; what was done, in sentences.

    Raises:
        DataError: there is none, or a place is taken meanwhile; nothing was changed.
    """
    journals = sorted(QUARANTINE.glob(f"*/{JOURNAL}"))
    if not journals:
        raise DataError(f"there is nothing to take back: {QUARANTINE}/ holds no journal of a fix")
    path = journals[-1]
    journal = load_json(path, REPAIR)
    for place in (place for move in journal["moves"] for place in move.values()):
        inside(Path(), place)
    back = [
        Move(move["after"], move["before"])
        for move in reversed(journal["moves"])
        if Path(move["after"]).exists()
    ]
    if taken := [move.after for move in back if Path(move.after).exists()]:
        raise DataError(f"{named(taken)}: there is a file at the old place again; move it away first")
    for move in back:
        _rename(Path(move.before), Path(move.after))
    lines = [f"moved {len(back)} files back: {named([move.after for move in back], SHOWN)}"] if back else []
    if journal["table"]:
        with replacing(inside(paths.DATA, journal["table"])) as new:
            shutil.copyfile(path.with_name(Path(journal["table"]).name), new)
        lines.append(f"restored {paths.DATA / journal['table']}")
    path.rename(path.with_name(UNDONE))
    before = repository.data_version()
    repository.add(paths.DATA)
    return [*lines, f"data.dvc: {_short(before)} -> {_short(repository.data_version())}"]


def _done_before(decision: Decision, found: dict[str, Found]) -> bool:
    """Whether an earlier fix carried the decision out: its file is where that one put it."""
    if decision.path in found:
        return decision.action == "relabel" and found[decision.path].label == decision.label
    own = str(paths.DATA / decision.path)
    return any(
        move["before"] == own
        for path in QUARANTINE.glob(f"*/{JOURNAL}")
        for move in load_json(path, REPAIR)["moves"]
    )


def _check(wanted: Sequence[Decision], found: dict[str, Found], data: Data) -> None:
    if lost := [each.path for each in wanted if each.path not in found]:
        raise DataError(
            f"there is no image {named([str(paths.DATA / path) for path in lost])}; mend its line"
        )
    classes = {each.label for each in found.values() if each.label}
    for each in wanted:
        if each.action == "relabel" and each.label not in classes:
            raise DataError(
                f"{each.path}: there is no class {each.label!r}; expected one of {named(sorted(classes))}"
            )
        if each.action == "group" and not data.labels:
            raise DataError(
                f"{each.path}: same group as {each.group} needs a table of labels with the column group "
                "(data.labels); without one, `split.group: similar` keeps near duplicates together"
            )
        if each.action == "group" and each.group not in found:
            raise DataError(f"{each.path}: there is no image {paths.DATA / each.group} to share a group with")
        for path in (each.path, each.group) if each.action == "group" else (each.path,):
            if each.action != "remove" and not found[path].label:
                raise DataError(f"{path} is in no class; move it into one, or list it in the table, by hand")


def _removal(decision: Decision, folder: Path) -> Move:
    return Move((paths.DATA / decision.path).as_posix(), (folder / decision.path).as_posix())


def _relabelling(wanted: Sequence[Decision], found: dict[str, Found]) -> Iterator[Move]:
    """Moves to the folder of another class; a name that is taken gets a number."""
    taken: set[Path] = set()
    for each in wanted:
        if each.action != "relabel":
            continue
        parts = list(PurePosixPath(each.path).parts)
        places = [place for place, part in enumerate(parts[:-1]) if part == found[each.path].label]
        if len(places) != 1:
            raise DataError(f"{each.path}: no single folder names its class; move it by hand")
        parts[places[0]] = each.label
        target = _free(paths.DATA.joinpath(*parts), taken)
        taken.add(target)
        yield Move((paths.DATA / each.path).as_posix(), target.as_posix())


def _free(path: Path, taken: set[Path]) -> Path:
    """The path itself, or with a number if it is taken."""
    number, found = 2, path
    while found.exists() or found in taken:
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return found


def _rename(before: Path, after: Path) -> None:
    after.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(before, after)  # the quarantine may be another file system


def _edit_table(table: Path, decisions: Sequence[Decision], found: dict[str, Found]) -> None:
    rows = read_table(table)
    place = {path_in(table, str(path)): index for index, path in rows["path"].items()}
    if "group" not in rows and any(each.action == "group" for each in decisions):
        rows["group"] = ""
    for each in decisions:
        if each.action == "remove":  # the table need not list it
            rows = rows.drop(index=[place[each.path]] if each.path in place else [])
        elif each.action == "relabel":
            rows.loc[place[each.path], "label"] = each.label
        else:
            shared = found[each.group].group or each.group
            rows.loc[[place[each.path], place[each.group]], "group"] = shared
    write_table(table, rows)


def _short(version: str | None) -> str:
    return (version or "none")[:12]
