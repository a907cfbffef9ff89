"""Near duplicates of a data set: which files, in which classes and splits, and the page that shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from headstart.pipeline.data.near_duplicates import near_duplicates
from headstart.pipeline.data.shown import jpeg_of
from headstart.pipeline.data.thumbnails import Thumbnails
from headstart.pipeline.pages.html import render

GROUPS_SHOWN, FILES_SHOWN = 100, 12  # on the page: groups, and files of each
GROUPS_STORED = 200  # in reports/validation.json

Members: TypeAlias = pd.DataFrame
"""One row per file that has near duplicates: group, path, label, split."""


@dataclass(frozen=True)
class Shown:
    """A file of a group on the page; `jpeg` is empty if it disappeared meanwhile."""

    path: str
    label: str
    split: str
    jpeg: bytes


@dataclass(frozen=True)
class Group:
    """Files that are nearly the same picture, and those of them that the page shows."""

    files: int
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    shown: tuple[Shown, ...]


def pairs_of(
    manifest: pd.DataFrame, thumbnails: Thumbnails, advance: Callable[[int], object]
) -> list[tuple[str, str]]:
    """Digests of pictures that are nearly equal; a picture is compared once, however many files hold it.

    Args:
        manifest: one row per file: pixels, excluded.
        thumbnails: uint8 [N, 32, 32], of the same rows.
        advance: called with the number of pictures just compared with all others.
    """
    pictures = manifest[manifest["excluded"] == ""].drop_duplicates("pixels").sort_values("pixels")
    digests = pictures["pixels"].tolist()
    found = near_duplicates(thumbnails[pictures.index.to_numpy()], advance)
    return [(digests[pair.first], digests[pair.second]) for pair in found]


def members_of(manifest: pd.DataFrame, groups: Sequence[str]) -> Members:
    """The kept files that have near duplicates, given the group of each row ("" without one)."""
    table = manifest.assign(group=list(groups))
    own = table[(table["excluded"] == "") & (table["group"] != "")]
    return own[["group", "path", "label", "split"]].sort_values(["group", "path"], ignore_index=True)


def spread(members: Members) -> pd.DataFrame:
    """One row per group: its files, splits, labels, and two files each that differ in these ("" if none)."""
    rows = []
    for group, own in members.groupby("group"):
        row: dict[str, Any] = {"group": group, "files": len(own)}
        for column, key in (("split", "splits"), ("label", "labels")):
            first = own.drop_duplicates(column)
            row[key] = len(first)
            files = [f"{each.path} ({getattr(each, column)})" for each in first.head(2).itertuples()]
            row[f"across_{key}"] = " and ".join(files) if len(first) > 1 else ""
        rows.append(row)
    return pd.DataFrame(
        rows, columns=["group", "files", "splits", "across_splits", "labels", "across_labels"]
    )


def to_json(members: Members) -> dict[str, Any]:
    """Numbers of groups and files, and the files of the first groups, those in several splits first."""
    table = spread(members)
    ordered = _worst_first(table)["group"].head(GROUPS_STORED)
    files = {group: own.drop(columns="group").to_dict("records") for group, own in members.groupby("group")}
    return {
        "groups": len(table),
        "files": len(members),
        "across_splits": int((table["splits"] > 1).sum()),
        "across_classes": int((table["labels"] > 1).sum()),
        "shown": [files[group] for group in ordered],
    }


def as_html(data: Path, members: Members, pictures: int | None) -> str:
    """The page `reports/near_duplicates.html`; `pictures` were compared, None if none were."""
    table = _worst_first(spread(members))
    own = dict(list(members.groupby("group")))
    return render(
        "headstart.pipeline.data",
        "near_duplicates.html.j2",
        {},
        pictures=pictures,
        files=len(members),
        count=len(table),
        across_splits=int((table["splits"] > 1).sum()),
        across_classes=int((table["labels"] > 1).sum()),
        groups=[_group(data, own[group]) for group in table["group"].head(GROUPS_SHOWN)],
    )


def _worst_first(table: pd.DataFrame) -> pd.DataFrame:
    worst = table.assign(across=table["splits"] > 1, mixed=table["labels"] > 1)
    return worst.sort_values(["across", "mixed", "group"], ascending=[False, False, True])


def _group(data: Path, own: pd.DataFrame) -> Group:
    kinds = own.assign(first=~own.duplicated(["split", "label"]))  # shown first: one file of each
    files = kinds.sort_values(["first", "path"], ascending=[False, True]).head(FILES_SHOWN)
    return Group(
        len(own),
        tuple(sorted(own["split"].unique())),
        tuple(sorted(own["label"].unique())),
        tuple(Shown(row.path, row.label, row.split, jpeg_of(data / row.path)) for row in files.itertuples()),
    )
