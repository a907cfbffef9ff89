"""Add labelled images to `data.source`, in the folders or the table that its images already have."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pandas as pd

from headstart.errors import DataError, SourceUnreachable
from headstart.ground.wording import named
from headstart.pipeline.data.labels import path_in, read_table, write_table
from headstart.pipeline.data.layout import Found, check_names, read_folders
from headstart.pipeline.data.listing import is_ignored, is_named_like_an_image

PREFIX, FOLDER = "feedback-", "feedback"  # of the files' names; of the folder in a source with a table
DIGITS = 16  # of a name: of the file's SHA-256
TRAIN = "train"


@dataclass(frozen=True)
class Added:
    """The images that a source has gained.

    Attributes:
        new: their paths in the source.
        there: how many it had already.
        lost: labels whose image is not on this machine any more.
    """

    source: str
    new: tuple[str, ...]
    there: int
    lost: int = 0

    def sentence(self) -> str:
        """One line for a person."""
        lost = f", {self.lost} are not kept here any more" if self.lost else ""
        return f"{self.source}: {len(self.new)} images added, {self.there} were there already{lost}"


def add_labelled(
    source: str, images: Sequence[tuple[Path, str]], layout: str | None, table: str | None
) -> Added:
    """Copy images to where those of their class lie, or add rows to the table of labels.

    A file's name is that of its content, so an image is added once. In a source with splits it joins the
    training split: it was chosen, so it must not be tested on.

    Args:
        source: a folder, or a URL that fsspec can write to.
        images: file and class of each.
        layout, table: `data.layout` and `data.labels`.

    Raises:
        DataError: the source has no image of a class to go by, or has an image under another class; or one
            image is given with two.
        SourceUnreachable: it cannot be read or written now.
    """
    system, root = _open(source)
    there = _images(source, system, root)
    named_images = _by_name(images)
    add = _add_rows if table else _add_files
    try:
        new = add(system, root, there, named_images, table or layout)
    except OSError as error:
        raise SourceUnreachable(f"{source} cannot be written: {error}; repeat the command later") from error
    return Added(source, tuple(sorted(new)), len(named_images) - len(new))


def _by_name(images: Sequence[tuple[Path, str]]) -> dict[str, tuple[Path, str]]:
    """File and class by the name that the source gives it: that of its content."""
    found: dict[str, tuple[Path, str]] = {}
    for path, label in images:
        name = f"{PREFIX}{_digest(path)}{path.suffix.lower()}"
        _, before = found.setdefault(name, (path, label))
        if before != label:
            raise DataError(
                f"copies of {path} are labelled {before} and {label}: give them one label. Nothing was added"
            )
    return found


def _open(source: str) -> tuple[Any, str]:
    try:
        system, root = fsspec.core.url_to_fs(source)
    except (ImportError, ValueError) as error:
        raise DataError(f"data.source {source}: {error}; correct the address (docs/data.md)") from error
    return system, str(root).rstrip("/")


def _images(source: str, system: Any, root: str) -> list[str]:
    """Paths of the images in the source, relative to it, sorted."""
    try:
        system.invalidate_cache()
        found = system.find(root)
    except OSError as error:
        raise SourceUnreachable(f"data.source {source} cannot be read: {error}") from error
    names = (path[len(root) :].lstrip("/") for path in found)
    return sorted(
        name for name in names if is_named_like_an_image(name) and not any(map(is_ignored, name.split("/")))
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


def _add_files(
    system: Any, root: str, there: Sequence[str], images: Mapping[str, tuple[Path, str]], layout: str | None
) -> list[str]:
    found = read_folders(there, [], layout)
    folders = _class_folders(found)
    _check_new_classes({label for _, label in images.values()} - {*folders}, found)
    before = {PurePosixPath(name).name: name for name in there}
    wanted = {name: f"{_folder(label, folders, root)}{name}" for name, (_, label) in images.items()}
    if moved := [f"{before[n]} ({images[n][1]})" for n in wanted if before.get(n, wanted[n]) != wanted[n]]:
        raise DataError(
            f"{root} has images under another class than the new one in brackets: {named(moved, 5)}; move "
            "them by hand if the new one is right. Nothing was added"
        )
    new = {name: place for name, place in wanted.items() if name not in before}
    for name, place in new.items():
        _put(system, images[name][0], f"{root}/{place}")
    return list(new.values())


def _class_folders(found: Sequence[Found]) -> dict[str, str]:
    """The folder of each class, with a slash behind it; that of the training split if there are splits."""
    folders: dict[str, str] = {}
    for each in found:
        if each.label and each.split in ("", TRAIN):
            parts = each.path.split("/")
            depth = parts.index(each.folder) if each.folder else len(parts) - 1
            folders.setdefault(each.label, "".join(f"{part}/" for part in parts[:depth]))
    return folders


def _check_new_classes(labels: set[str], found: Sequence[Found]) -> None:
    """Refuse classes with which the source could not be read any more, or not all of it."""
    check_names({*labels, *(each.label for each in found)})
    for label in sorted(labels):
        if "/" in label or "\\" in label or is_ignored(label):
            raise DataError(f"the class {label!r} cannot be the name of a folder; give it another one")
        if any(each.split for each in found):
            raise DataError(
                f"the source has splits, and no training images of the class {label}: all of its splits must "
                "hold the same classes, so add a first image of it to each by hand"
            )


def _folder(label: str, folders: Mapping[str, str], root: str) -> str:
    """The folder of a class; of a new one, beside the others."""
    if label in folders:
        return folders[label]
    above = {str(PurePosixPath(folder).parent) for folder in folders.values()}
    if len(above) != 1:
        raise DataError(
            f"{root} has no image of the class {label}, and it is not clear where they belong: make a folder "
            "for it with a first image, or set data.layout"
        )
    [parent] = above
    return f"{label}/" if parent == "." else f"{parent}/{label}/"


def _put(system: Any, path: Path, place: str) -> None:
    """Copy a file under a name that counts as unfinished, then rename it."""
    system.makedirs(place.rpartition("/")[0], exist_ok=True)
    system.put_file(str(path), f"{place}.part")
    system.mv(f"{place}.part", place)


def _add_rows(
    system: Any, root: str, there: Sequence[str], images: Mapping[str, tuple[Path, str]], table: str | None
) -> list[str]:
    assert table is not None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PurePosixPath(table).name
        system.get_file(f"{root}/{table}", str(copy))
        rows = read_table(copy)
        listed = {
            path_in(copy, str(path)): str(label)
            for path, label in zip(rows["path"], rows["label"], strict=True)
        }
        labels = {f"{FOLDER}/{name}": label for name, (_, label) in images.items()}
        check_names([*(label.strip() for label in listed.values()), *labels.values()])
        if moved := [
            f"{path} ({label})" for path, label in labels.items() if listed.get(path, label) != label
        ]:
            raise DataError(
                f"{table} lists images under another class than the new one in brackets: {named(moved, 5)}; "
                "correct these rows by hand if the new one is right. Nothing was added"
            )
        new = [path for path in labels if path not in listed]
        for path in new:
            _put(system, images[PurePosixPath(path).name][0], f"{root}/{path}")
        write_table(copy, pd.concat([rows, _rows(rows, labels, new)], ignore_index=True))
        if new:
            _put(system, copy, f"{root}/{table}")
    return new


def _rows(rows: pd.DataFrame, labels: Mapping[str, str], new: Sequence[str]) -> pd.DataFrame:
    """A row for each new path; of the other columns only `split` is filled, if the others have one."""
    added = pd.DataFrame({"path": new, "label": [labels[path] for path in new]}, dtype=object)
    if "split" in rows and rows["split"].fillna("").astype(str).str.strip().ne("").any():
        added["split"] = TRAIN
    return added.reindex(columns=rows.columns, fill_value="")
