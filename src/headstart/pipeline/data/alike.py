"""Near duplicates of a data set: which files, in which classes and splits, and the page that shows them."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL

from headstart.pipeline.data.near_duplicates import near_duplicates
from headstart.pipeline.data.shown import Picture, jpeg_of
from headstart.pipeline.data.thumbnails import Thumbnails
from headstart.pipeline.pages.html import render
from headstart.pipeline.store.rows import RowStore

GROUPS_SHOWN, FILES_SHOWN = 100, 12  # on the page: groups, and files of each
GROUPS_STORED = 200  # in reports/validation.json
MEMBER = ["group", "path", "label", "split"]
GROUP = ["group", "files", "splits", "across_splits", "labels", "across_labels"]


@dataclass(frozen=True)
class Group:
    """Files that are nearly the same picture, and those of them that the page shows."""

    files: int
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    shown: tuple[Picture, ...]


@dataclass(frozen=True)
class NearDuplicates:
    """The files that have near duplicates: one row each, in order, with group, path, label and split."""

    members: pd.DataFrame

    @classmethod
    def among(cls, manifest: pd.DataFrame, groups: Sequence[str]) -> "NearDuplicates":
        """The kept files that have some, given the group of each row ("" without one)."""
        table = manifest.assign(group=list(groups))
        own = table[(table["excluded"] == "") & (table["group"] != "")]
        return cls(own[MEMBER].sort_values(["group", "path"], ignore_index=True))

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row per group: its files, splits, labels, and two files that differ in each ("" if none)."""
        rows = []
        for group, own in self.members.groupby("group"):
            row: dict[str, Any] = {"group": group, "files": len(own)}
            for column, key in (("split", "splits"), ("label", "labels")):
                first = own.drop_duplicates(column)
                row[key] = len(first)
                files = [f"{each.path} ({getattr(each, column)})" for each in first.head(2).itertuples()]
                row[f"across_{key}"] = " and ".join(files) if len(first) > 1 else ""
            rows.append(row)
        return pd.DataFrame(rows, columns=GROUP)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of groups and files, and of groups in several splits and classes."""
        return {
            "groups": len(self.groups),
            "files": len(self.members),
            "across_splits": int((self.groups["splits"] > 1).sum()),
            "across_classes": int((self.groups["labels"] > 1).sum()),
        }

    def worst(self, count: int) -> list[pd.DataFrame]:
        """The members of so many groups: those in several splits first, then those in several classes."""
        worst = self.groups.assign(across=self.groups["splits"] > 1, mixed=self.groups["labels"] > 1)
        order = worst.sort_values(["across", "mixed", "group"], ascending=[False, False, True])
        own = dict(list(self.members.groupby("group")))
        return [own[group] for group in order["group"].head(count)]


def pairs_of(
    manifest: pd.DataFrame,
    thumbnails: Thumbnails,
    store: RowStore,
    recipe: str,
    advance: Callable[[int], object] = lambda count: None,
) -> list[tuple[str, str]]:
    """Digests of pictures that are nearly equal; a picture is compared once, however many files hold it.

    Args:
        manifest: one row per file: pixels, excluded.
        thumbnails: uint8 [N, 32, 32], of the same rows.
        store: remembers the pairs of a set of pictures, by their digests and `recipe`.
        advance: called with the number of pictures just compared with all others.
    """
    pictures = manifest[manifest["excluded"] == ""].drop_duplicates("pixels").sort_values("pixels")
    digests = pictures["pixels"].tolist()
    key = hashlib.sha256("".join(digests).encode()).hexdigest()
    [known] = store.get(recipe, [key])
    if known is None:
        found = near_duplicates(thumbnails[pictures.index.to_numpy()], advance)
        known = json.dumps([(pair.first, pair.second) for pair in found]).encode()
        store.put(recipe, {key: known})
    else:
        advance(len(digests))
    return [(digests[first], digests[second]) for first, second in json.loads(known)]


def pairs_recipe() -> dict[str, object]:
    """Everything that pairs depend on, apart from the pictures and the code of `near_duplicates`."""
    return {"rows": "near duplicates", "numpy": np.__version__, "pillow": PIL.__version__}


def to_json(found: NearDuplicates) -> dict[str, Any]:
    """Numbers of groups and files, and the files of the worst groups."""
    files = [own.drop(columns="group").to_dict("records") for own in found.worst(GROUPS_STORED)]
    return {**found.counts, "shown": files}


def as_html(data: Path, found: NearDuplicates, pictures: int | None) -> str:
    """The page `reports/near_duplicates.html`; `pictures` were compared, None if none were."""
    return render(
        "headstart.pipeline.data",
        "near_duplicates.html.j2",
        {},
        pictures=pictures,
        counts=found.counts,
        groups=[_group(data, own) for own in found.worst(GROUPS_SHOWN)],
    )


def _group(data: Path, own: pd.DataFrame) -> Group:
    kinds = own.assign(first=~own.duplicated(["split", "label"]))  # shown first: one file of each
    files = kinds.sort_values(["first", "path"], ascending=[False, True]).head(FILES_SHOWN)
    return Group(
        len(own),
        tuple(sorted(own["split"].unique())),
        tuple(sorted(own["label"].unique())),
        tuple(
            Picture(row.path, row.label, row.split, jpeg_of(data / row.path)) for row in files.itertuples()
        ),
    )


NONE = NearDuplicates(pd.DataFrame(columns=MEMBER))
