"""The page `reports/data.html`: what was found, worst first, as pictures with reasons."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from headstart.ground.settings import SPLITS
from headstart.pipeline.data.shown import Picture
from headstart.pipeline.inspection.checks import TITLES
from headstart.pipeline.pages.html import render, thumbnail_jpeg
from headstart.pipeline.pixels.packed import PackedImages

SHOWN = 40  # pictures of each check
BESIDE = 2  # pictures shown beside one: its copies, or the nearest
SIDE = 112  # pixels of the longer side
MANY = 0.2  # of the images: if so many labels are doubted, the features may be the cause instead


@dataclass(frozen=True)
class Finding:
    """A picture with the reason why it is shown, and pictures like it."""

    picture: Picture
    reason: str
    beside: tuple[Picture, ...]


@dataclass(frozen=True)
class Part:
    """The findings of one check, of which the first are shown; `note` may say how to take them."""

    name: str
    title: str
    severity: str
    count: int
    findings: tuple[Finding, ...]
    note: str


def as_html(
    images: pd.DataFrame,
    findings: pd.DataFrame,
    unbalanced: Sequence[str],
    packed: PackedImages,
    with_features: bool,
) -> str:
    """Render the page: at most 40 pictures of each check, however many images there are."""
    row_of = dict(zip(images["path"], images["row"], strict=True))

    def picture(path: str) -> Picture:
        row = int(row_of[path])
        own = images.iloc[row]
        return Picture(path, own["label"], own["split"], thumbnail_jpeg(packed.rows(row, row + 1)[0], SIDE))

    def finding(row: pd.Series) -> Finding:
        beside = [path for path in row["similar"].split("\n") if path][:BESIDE]
        return Finding(picture(row["path"]), row["reason"], tuple(map(picture, beside)))

    parts = []
    for name in dict.fromkeys(findings["check"]):
        own = findings[findings["check"] == name]
        shown = tuple(finding(row) for _, row in own.head(SHOWN).iterrows())
        note = _labels_note(len(own) / len(images)) if name == "label" else ""
        parts.append(Part(str(name), TITLES[name], str(own["severity"].iloc[0]), len(own), shown, note))
    counts = images.groupby(["label", "split"]).size().unstack(fill_value=0)
    found = findings.groupby("label")["path"].nunique()
    return render(
        "headstart.pipeline.inspection",
        "data.html.j2",
        {},
        images=len(images),
        pictures=int(findings["path"].nunique()),
        parts=parts,
        unbalanced=unbalanced,
        with_features=with_features,
        splits=SPLITS,
        classes=[
            (name, [int(row.get(split, 0)) for split in SPLITS], int(found.get(name, 0)))
            for name, row in counts.iterrows()
        ],
    )


def _labels_note(doubted: float) -> str:
    """The sentence on doubts about this share of all labels; empty if it is small."""
    if doubted < MANY:
        return ""
    return (
        f"The features alone suggest another class for {doubted:.0%} of all images. Either they hardly "
        "separate these classes, or many labels are wrong: look at the first ones to see which."
    )
