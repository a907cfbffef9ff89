"""Section "Data": images per class and split, and the files that were left out or moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from headstart.ground import paths
from headstart.ground.reading import load_json, load_table
from headstart.ground.settings import SPLITS
from headstart.pipeline.evaluation import plots
from headstart.pipeline.evaluation.report import Figure, Section, figures
from headstart.pipeline.evaluation.wording import FILTERS
from headstart.pipeline.pages.html import fragment

EXCLUDED_SHOWN = 200
PLACED_SHOWN = 50
OPEN = 30  # classes; more are in a box that scrolls

Counts = Mapping[str, Mapping[str, int]]


def section(counts: Counts) -> Section:
    """Make the section.

    Args:
        counts: images by split and class.
    """
    manifest = load_table(paths.MANIFEST, ["path", "excluded"])
    out = manifest[manifest["excluded"] != ""]
    excluded = list(zip(out["path"], out["excluded"], strict=True))
    return Section("Data", as_html(counts, excluded, load_json(paths.VALIDATION)["placed"]))


def as_html(
    counts: Counts, excluded: Sequence[tuple[str, str]], placed: Sequence[Mapping[str, Any]]
) -> Markup:
    """Render the section.

    Args:
        counts: images by split and class.
        excluded: pairs of path and reason, of which the first 200 are shown.
        placed: entries `placed` of reports/validation.json, of which the first 50 are shown.
    """
    rows, total = class_rows(counts), [sum(split.values()) for split in counts.values()]
    sizes = [sum(numbers) for _, numbers in rows]
    figure = Figure(
        "Images",
        "Images per class and split."
        if len(rows) <= plots.NAMED_BARS
        else "Images per class, the largest first.",
        plots.class_counts_png(counts),
        f"{sum(total)} images of {len(rows)} classes, {min(sizes)} to {max(sizes)} each",
    )
    return figures(figure) + fragment(
        "headstart.pipeline.evaluation.sections",
        "data.html.j2",
        FILTERS,
        splits=list(counts),
        rows=rows,
        total=total,
        excluded=excluded[:EXCLUDED_SHOWN],
        excluded_count=len(excluded),
        placed=placed[:PLACED_SHOWN],
        placed_count=len(placed),
        open=OPEN,
    )


def counts_of() -> dict[str, dict[str, int]]:
    """The images that were kept, by split and class."""
    manifest = load_table(paths.MANIFEST, ["label", "split", "excluded"])
    kept = manifest[manifest["excluded"] == ""]
    found = {
        split: {name: int(n) for name, n in group["label"].value_counts().sort_index().items()}
        for split, group in kept.groupby("split", sort=False)
    }
    return {name: found.get(name, {}) for name in SPLITS}


def class_rows(counts: Counts) -> list[tuple[str, list[int]]]:
    """Each class with its number of images in every split, in order of first appearance."""
    classes = dict.fromkeys(name for split in counts.values() for name in split)
    return [(name, [split.get(name, 0) for split in counts.values()]) for name in classes]
