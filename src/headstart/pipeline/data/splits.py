"""Assign images to splits by their pixels or group alone, so that they never move."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from headstart.errors import DataError
from headstart.ground.settings import SPLITS
from headstart.pipeline.data.groups import SIMILAR, split_key


def split_of(key: str, fractions: Mapping[str, float], seed: int) -> str:
    """The split of an image, by the hash of its decoded pixels or of its group's name.

    Adding or removing other images moves nothing, and the same picture under two names lands in one split.

    Args:
        key: digest of the decoded pixels, from `decoding.pixel_digest`, or a group's name.
        fractions: share of each split; they sum to 1, and their order matters.
        seed: a different seed gives a different assignment.
    """
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    bound = 0.0
    for name, fraction in fractions.items():
        bound += fraction
        if position < bound:
            return name
    return list(fractions)[-1]


@dataclass(frozen=True)
class Placed:
    """Images of a class, all of one picture or group, put into a split that had none of the class."""

    label: str
    paths: tuple[str, ...]
    before: str
    after: str


def assign_splits(
    manifest: pd.DataFrame, fractions: Mapping[str, float], seed: int
) -> tuple[pd.Series, list[Placed]]:
    """The split of every row: its folder's, else by the hash of its pixels or group; "" for excluded rows.

    If folders name the splits but val or test is missing, it is drawn from train by hash. If a split gets no
    image of a class, one of another split, by a second hash, is placed there; a class with an image in every
    split keeps the splits of the hash.

    Args:
        manifest: path, label, pixels, group, split (as named, else ""), excluded.

    Returns:
        The splits, and what was placed.

    Raises:
        DataError: folders put images of one group into different splits.
    """
    _check_named(manifest)
    named = set(manifest["split"]) - {""}
    if not named:
        drawn_from, drawn = "", dict(fractions)
    else:
        drawn_from = "train"
        wanted = ["train", *(name for name in SPLITS if name not in named)]
        total = sum(fractions[name] for name in wanted)
        drawn = {name: fractions[name] / total for name in wanted}
    kept = manifest["excluded"] == ""
    keys = list(map(split_key, manifest["pixels"], manifest["group"]))
    open_to_draw = (kept & (manifest["split"] == drawn_from)).tolist()
    splits = [
        split_of(key, drawn, seed) if is_open else name
        for key, is_open, name in zip(keys, open_to_draw, manifest["split"], strict=True)
    ]
    placed = _place(manifest, keys, splits, open_to_draw, list(drawn), seed)
    found = pd.Series(splits, index=manifest.index, dtype=object).where(kept, "")
    return found, placed


def _check_named(manifest: pd.DataFrame) -> None:
    ours = manifest["group"].str.startswith(SIMILAR)  # validate.near_duplicates decides about these
    grouped = manifest[
        (manifest["excluded"] == "") & (manifest["group"] != "") & ~ours & (manifest["split"] != "")
    ]
    spread = grouped.groupby("group")["split"].agg(lambda names: sorted(set(names)))
    for group, splits in spread.items():
        if len(splits) < 2:
            continue
        own = grouped[grouped["group"] == group]
        first = [str(own.loc[own["split"] == split, "path"].iloc[0]) for split in splits]
        raise DataError(
            f"group {group!r} is in the splits {', '.join(splits)} ({', '.join(first)}): what was learned "
            "from one image would be tested on its like. Move the group into one split, or let split.group "
            "assign the splits"
        )


def _place(
    manifest: pd.DataFrame,
    keys: Sequence[str],
    splits: list[str],
    is_open: Sequence[bool],
    drawn: Sequence[str],
    seed: int,
) -> list[Placed]:
    """Change `splits` so that each drawn split has every class that has enough pictures or groups for it."""
    labels = manifest["label"].tolist()
    rows: dict[str, list[int]] = defaultdict(list)
    classes: dict[str, set[str]] = defaultdict(set)
    for index, (key, label, free) in enumerate(zip(keys, labels, is_open, strict=True)):
        if free and label:
            rows[key].append(index)
            classes[label].add(key)
    placed = []
    for label in sorted(classes):
        while True:
            held = Counter(splits[rows[key][0]] for key in classes[label])
            empty = [name for name in drawn if not held[name]]
            donor = max(drawn, key=lambda name: held[name])
            if not empty or held[donor] < 2:
                break
            own = [key for key in classes[label] if splits[rows[key][0]] == donor]
            movable = [key for key in own if {labels[index] for index in rows[key]} == {label}]
            if not movable:  # a group of several classes: moving it could take a split from another
                break
            key = min(movable, key=lambda each: hashlib.sha256(f"{seed}:place:{each}".encode()).digest())
            for index in rows[key]:
                splits[index] = empty[0]
            paths = tuple(str(manifest["path"].iloc[index]) for index in rows[key])
            placed.append(Placed(label, paths, donor, empty[0]))
    return placed
