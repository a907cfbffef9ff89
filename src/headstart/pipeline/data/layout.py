"""Read classes and splits from the folders that images lie in; what is ambiguous is asked, never guessed."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from headstart.errors import DataError
from headstart.ground.wording import named

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "evaluation", "holdout"), "test"),
}
CLASS, SPLIT, ANY = "CLASS", "SPLIT", "*"
SHOWN = 6  # names of a reading
TOKENS = re.compile(r"[\W_\d]+|(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Found:
    """An image: its path relative to the data folder, its class, and its split and group if named.

    Attributes:
        folder: the folder below that of its class, if there is one.
        columns: names and texts of the other columns of a table of labels.
    """

    path: str
    label: str
    split: str
    group: str = ""
    folder: str = ""
    columns: tuple[tuple[str, str], ...] = ()


def split_named(word: str) -> str:
    """The split that a folder or table names: train, val or test; "" if it is none of the usual names."""
    return SPLIT_NAMES.get(word.strip().casefold(), "")


def read_folders(images: Sequence[str], bare: Sequence[str], layout: str | None) -> list[Found]:
    """The class and split of each image, by its folders. An image outside any class folder has the label "".

    Args:
        images: sorted POSIX paths relative to the data folder.
        bare: folders that hold nothing.
        layout: the folders from the data folder down, such as `CLASS`, `SPLIT/CLASS` or `*/CLASS`; None finds
            out whether they are classes, or splits with classes, and stops at anything else.

    Raises:
        DataError: the folders can be read in more than one way, splits do not agree, a class folder is empty,
            or two classes differ only by case, blanks or the normalisation of Unicode.
    """
    pattern = tuple(layout.split("/")) if layout else _find_pattern(images)
    found = [_in_pattern(path, pattern) for path in images]
    check_names(each.label for each in found)
    _check_bare(bare, pattern)
    if SPLIT in pattern:
        _check_splits(found, pattern)
    return found


def check_names(labels: Iterable[str]) -> None:
    """Refuse classes that people would take for one.

    Raises:
        DataError: two differ only by case, surrounding blanks or the normalisation of Unicode.
    """
    known: dict[str, str] = {}
    for label in sorted({*labels} - {""}):
        folded = " ".join(unicodedata.normalize("NFKC", label).split()).casefold()
        if folded in known:
            raise DataError(
                f"the classes {known[folded]!r} and {label!r} differ only by case, blanks or the form of "
                f"their characters ({known[folded]!a}; {label!a}); give both the same name, or different ones"
            )
        known[folded] = label


def _find_pattern(images: Sequence[str]) -> tuple[str, ...]:
    """`CLASS` or `SPLIT/CLASS`, behind one `*` for each folder that merely wraps all others."""
    wrapped: tuple[str, ...] = ()
    while True:
        inside = [parts for path in images if len(parts := path.split("/")[len(wrapped) :]) > 1]
        deep = [parts for parts in inside if len(parts) > 2]
        tops = {parts[0] for parts in inside}
        if len(tops) != 1 or len(deep) < len(images) or split_named(*tops):
            break
        wrapped = (*wrapped, ANY)
    if _are_splits(tops) and (deep or len(tops) > 1):
        return (*wrapped, *_within_splits(inside, deep))
    _check_no_odd_folder(tops, inside)
    if deep:
        raise DataError(_two_readings(inside, deep, wrapped))
    return (*wrapped, CLASS)


def _within_splits(inside: list[list[str]], deep: list[list[str]]) -> tuple[str, ...]:
    """`SPLIT/CLASS`, with a `*` between them for each folder that wraps the classes of every split."""
    tops = sorted({parts[0] for parts in inside})
    loose = Counter(parts[0] for parts in inside if len(parts) == 2)
    for top in tops:
        if loose[top]:
            raise DataError(_loose(top, loose[top], has_classes=bool(deep)))
    between: tuple[str, ...] = ()
    while True:
        below = {(parts[0], parts[1 + len(between)]) for parts in inside}
        depth = 2 + len(between)
        wraps = len(below) == len(tops) and all(len(parts) > depth + 1 for parts in inside)
        if not wraps:
            break
        between = (*between, ANY)
    nested = [parts for parts in inside if len(parts) > 3 + len(between)]
    if nested:
        example = "/".join(nested[0][:-1])
        raise DataError(
            f"{example} is a folder in a class folder: is it a class itself? If pictures of a class lie in "
            f"subfolders, set data.layout: {'/'.join((SPLIT, *between, CLASS))} in params.yaml; if the inner "
            f"folders are the classes, set data.layout: {'/'.join((SPLIT, *between, ANY, CLASS))}"
        )
    return (SPLIT, *between, CLASS)


def _loose(top: str, count: int, has_classes: bool) -> str:
    pictures = f"{count} picture{'s' if count > 1 else ''} outside any class folder"
    if has_classes:
        return (
            f"data/{top} is a split, and holds {pictures}: without a label they can neither train nor test. "
            "Put them into class folders, or take them out of data/ (`headstart predict` answers for them)"
        )
    return (
        f"data/{top} is named like a split, and holds {pictures}: put pictures into data/{top}/CLASS/. If "
        "the names of these folders are the classes, set data.layout: CLASS in params.yaml"
    )


def _check_no_odd_folder(tops: set[str], inside: list[list[str]]) -> None:
    """Split folders next to folders that are none would be taken for classes."""
    nested = {parts[0] for parts in inside if len(parts) > 2}
    splits = sorted(top for top in tops if _tokens(top)[0] and top in nested)
    odd = sorted(tops - set(splits))
    if len({_tokens(top)[0] for top in splits}) > 1 and odd:
        counts = Counter(parts[0] for parts in inside)
        raise DataError(
            f"data/ holds the split folders {', '.join(splits)} next to {_counted(odd, counts)}, which is "
            "not a split: take it out of data/. If all of them are classes, set data.layout: CLASS in "
            "params.yaml"
        )


def _two_readings(inside: list[list[str]], deep: list[list[str]], wrapped: tuple[str, ...]) -> str:
    outer = Counter(parts[0] for parts in inside)
    inner = Counter(parts[1] if len(parts) > 2 else parts[0] for parts in inside)
    outer_line, inner_line = "/".join((*wrapped, CLASS)), "/".join((*wrapped, ANY, CLASS))
    lines = [
        f"the folders in data/ can be read in two ways ({'/'.join(deep[0][:-1])} is a folder in a folder):",
        f"  - {len(outer)} classes, the outer folders: {_counted(sorted(outer), outer)}",
        f"  - {len(inner)} classes, the inner folders: {_counted(sorted(inner), inner)}",
        f"For the first, set data.layout: {outer_line} in params.yaml; for the second, "
        f'data.layout: "{inner_line}"',
    ]
    return "\n".join(lines)


def _counted(names: Sequence[str], counts: Mapping[str, int]) -> str:
    return named((f"{name} ({counts[name]})" for name in names), SHOWN)


@cache
def _tokens(name: str) -> tuple[str, tuple[str, ...]]:
    """The split that a folder's name contains, and the name's other words: `seg_train` is (train, (seg,))."""
    words = [word for word in TOKENS.split(name.strip()) if word]
    splits = [split_named(word) for word in words]
    if sum(map(bool, splits)) != 1:
        return "", ()
    rest = tuple(word.casefold() for word, split in zip(words, splits, strict=True) if not split)
    return next(filter(None, splits)), rest


def _are_splits(tops: Iterable[str]) -> bool:
    """Whether all folders are named like splits and differ in nothing else."""
    found = [_tokens(top) for top in tops]
    return all(split for split, _ in found) and len({rest for _, rest in found}) == 1


def _in_pattern(path: str, pattern: tuple[str, ...]) -> Found:
    folders = path.split("/")[:-1]
    if len(folders) < len(pattern):
        return Found(path, "", "")
    split = ""
    if SPLIT in pattern:
        name = folders[pattern.index(SPLIT)]
        split = _tokens(name)[0]
        if not split:
            raise DataError(
                f"data/{path}: {name} is not the name of a split, as data.layout {'/'.join(pattern)} "
                f"expects; the names are {', '.join(SPLIT_NAMES)}"
            )
    below = folders[pattern.index(CLASS) + 1 :]
    return Found(path, folders[pattern.index(CLASS)], split, folder=below[0] if below else "")


def _check_bare(bare: Sequence[str], pattern: tuple[str, ...]) -> None:
    for folder in bare:
        if folder.count("/") == pattern.index(CLASS):
            raise DataError(
                f"data/{folder} is an empty class folder; put its images there, or remove it (`rmdir`)"
            )


def _check_splits(found: Sequence[Found], pattern: tuple[str, ...]) -> None:
    place = pattern.index(SPLIT)
    folders: dict[str, dict[str, set[str]]] = {}
    for each in found:
        if each.split:
            top = "/".join(each.path.split("/")[: place + 1])
            folders.setdefault(each.split, {}).setdefault(top, set()).add(each.label)
    for split, tops in folders.items():
        if len(tops) > 1 and place == 0:
            raise DataError(
                f"data/ has both {' and '.join(sorted(tops))}; keep one folder for the split {split}"
            )
    if "train" not in folders:
        every = sorted(f"data/{top}" for tops in folders.values() for top in tops)
        raise DataError(f"data/ has the split folders {', '.join(every)} but none for training")
    classes = {split: set().union(*tops.values()) for split, tops in folders.items()}
    for split, own in classes.items():
        if different := sorted(own ^ classes["train"]):
            first, second = (f"data/{min(folders[name])}" for name in (split, "train"))
            raise DataError(
                f"{first} and {second} hold different classes ({', '.join(different[:5])} only in one of "
                "them); all splits must hold the same classes. If these folders are classes themselves, set "
                "data.layout: CLASS in params.yaml"
            )
