"""Find the image files in a folder, with the class and split that their subfolders name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import DataError

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "test": "test"}
NOT_IMAGES = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Found:
    """A file: its path relative to the data folder, its class, and the split named by its folder."""

    path: str
    label: str
    split: str


def find_files(data: Path) -> list[Found]:
    """List every file that should be an image, sorted by path; a class is a subfolder, as in ImageFolder.

    Folders count as splits if every top folder is one of train, val, valid and test and holds
    subfolders. Hidden files and the likes of Thumbs.db are ignored. A file outside any class folder
    has the label "".

    Raises:
        DataError: the folder is missing or empty, a name is not UTF-8, a link leads to a folder that
            contains it, or the split folders hold different classes.
    """
    if not data.is_dir():
        raise DataError(f"there is no folder {data}; put images there, one subfolder per class")
    paths = sorted(path.relative_to(data).as_posix() for path in _walk(data, ()))
    if not paths:
        raise DataError(
            f"{data} holds no files; put images there, one subfolder per class, "
            "or draw the sample with `headstart sample`"
        )
    if _are_splits(data):
        found = [_in_split(path) for path in paths]
        _check_splits(found, data)
        return found
    return [Found(path, path.split("/")[0] if "/" in path else "", "") for path in paths]


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(f"{folder} links to a folder that contains it ({real}); remove the link")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in NOT_IMAGES:
                continue
            _check_name(entry)
            if entry.is_dir():
                yield from _walk(Path(entry.path), (*above, real))
            else:
                yield Path(entry.path)


def _check_name(entry: os.DirEntry[str]) -> None:
    """Refuse names that are not UTF-8: DVC and Parquet could not record them."""
    try:
        entry.path.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the name of {os.fsencode(entry.path)!r} is not UTF-8; rename the file (`convmv` renames many)"
        ) from error


def _are_splits(data: Path) -> bool:
    tops = [entry for entry in data.iterdir() if not entry.name.startswith(".")]
    folders = [top for top in tops if top.is_dir()]
    return (
        bool(folders)
        and all(folder.name in SPLIT_FOLDERS for folder in folders)
        and any(child.is_dir() for folder in folders for child in folder.iterdir())
    )


def _in_split(path: str) -> Found:
    parts = path.split("/")
    split = SPLIT_FOLDERS[parts[0]] if len(parts) > 1 else ""
    return Found(path, parts[1] if len(parts) > 2 else "", split)


def _check_splits(found: list[Found], data: Path) -> None:
    tops = sorted({file.path.split("/")[0] for file in found if file.split})
    if {"val", "valid"} <= set(tops):
        raise DataError(f"{data} has both val/ and valid/; keep one of them for validation images")
    classes = {top: {f.label for f in found if f.label and f.path.startswith(f"{top}/")} for top in tops}
    if "train" not in tops:
        raise DataError(f"{data} has the split folders {', '.join(tops)} but no train/; add it")
    for top in tops:
        if classes[top] != classes["train"]:
            different = sorted(classes[top] ^ classes["train"])
            raise DataError(
                f"{data}/{top} and {data}/train hold different classes ({', '.join(different[:5])} "
                "only in one of them); split folders must hold the same classes. If these names are "
                "classes themselves, rename them"
            )
