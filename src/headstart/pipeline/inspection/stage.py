"""Stage inspect: measure every picture, doubt labels, and write the findings and the page that shows them."""

from typing import Any

import numpy as np
import pandas as pd

from headstart.errors import DataError
from headstart.ground import paths
from headstart.ground.files import replacing, write_json, write_text
from headstart.ground.reading import load_table
from headstart.ground.wording import named
from headstart.pipeline.features.feature_file import Features, features_metadata
from headstart.pipeline.features.vectors import vectors
from headstart.pipeline.inspection import checks, page
from headstart.pipeline.inspection.labels import doubts, out_of_fold
from headstart.pipeline.inspection.neighbours import neighbours, unusualness
from headstart.pipeline.inspection.settings import Inspect
from headstart.pipeline.network.network import INPUT
from headstart.pipeline.pixels.looks import COLOUR, details
from headstart.pipeline.pixels.packed import NEEDED, PackedImages
from headstart.progress import bar

FIGURES = ("brightness", "contrast", "sharpness", "information", "size")
LEVELS = {"low": 0.05, "middle": 0.5, "high": 0.95}


def run(inspect: Inspect) -> str:
    """Write `artifacts/findings.parquet`, `reports/data.json` and `reports/data.html`.

    Raises:
        DataError: a check whose severity is critical failed; the outs are written.
    """
    table = load_table(paths.IMAGE_TABLE, ["pixels", "label", "split", "group", *NEEDED])
    packed, images = PackedImages(table), _with_facts(table)
    _look(images, packed)
    with_features = features_metadata(paths.FEATURES)["cut"] != INPUT
    if with_features:
        _compare(images, inspect)
    findings, results = checks.find(images, inspect, with_features)
    counts = {str(name): int(count) for name, count in images["label"].value_counts().sort_index().items()}
    unbalanced, more = checks.balance(counts, inspect.imbalance)
    with replacing(paths.FINDINGS) as new:
        findings.drop(columns="row").to_parquet(new, index=False)
    figures = _figures(images, findings, counts)
    write_json(paths.DATA_FIGURES, {**figures, "results": [*results, *more]})
    write_text(paths.DATA_REPORT, page.as_html(images, findings, unbalanced, packed, with_features))
    critical = findings[findings["severity"] == "critical"]
    if len(critical) or (unbalanced and inspect.imbalance.severity == "critical"):
        said = [f"{row.path}: {row.reason}" for row in critical.itertuples()]
        raise DataError(
            f"critical findings: {named(said or unbalanced, 5)}; look at {paths.DATA_REPORT}, mend the data "
            "(`headstart review`), or change the severity or the limit in section inspect of params.yaml"
        )
    by_check = ", ".join(f"{count} {name}" for name, count in figures["findings"].items())
    without = "" if with_features else "; nothing is frozen, so labels and outliers were not looked for"
    return f"{len(findings)} findings in {len(images)} images: {by_check or 'none'}{without}"


def _with_facts(table: pd.DataFrame) -> pd.DataFrame:
    """The images in order, with the facts of their files."""
    facts = load_table(paths.MANIFEST, ["path", "width", "height", "similar"])
    facts = facts.rename(columns={"similar": "near"})
    images = table.merge(facts, on="path", how="left", validate="one_to_one")
    images["row"] = np.arange(len(images))
    sides = images[["width", "height"]].astype(float)
    images["size"] = np.sqrt(sides["width"] * sides["height"])
    shape = sides["width"] / sides["height"]
    for column, values in (("size_factor", images["size"]), ("shape_factor", shape)):
        ratio = values / values.median()
        images[column] = np.maximum(ratio, 1 / ratio)
    copies = images[images["near"] != ""].groupby("near")
    images["copies"] = copies["path"].transform("size").reindex(images.index).fillna(1).astype(float)
    images["copy_labels"] = copies["label"].transform("nunique").reindex(images.index).fillna(1).astype(float)
    images["suggested"] = images["label"]
    images["doubt"] = images["unusualness"] = 0.0
    same = copies["path"].agg(list).to_dict()
    images["similar"] = [
        "\n".join([path for path in same.get(group, []) if path != own][: checks.SIMILAR_SHOWN])
        for group, own in zip(images["near"], images["path"], strict=True)
    ]
    return images


def _look(images: pd.DataFrame, packed: PackedImages) -> None:
    """Add the measures of each picture."""
    rows = []
    with bar(len(images), "inspect") as progress:
        for picture in packed.pictures(range(len(images))):
            rows.append(details(picture))
            progress.update()
    for name, values in pd.DataFrame(rows).items():
        images[str(name)] = values.to_numpy()
    images["is_grey"] = images["colour"] < COLOUR
    share = float(images["is_grey"].mean())
    images["like_it"] = np.where(images["is_grey"], share, 1 - share)


def _compare(images: pd.DataFrame, inspect: Inspect) -> None:
    """Add what features show: how unusual each picture is, its neighbours, doubts about its label."""
    classes, labels = np.unique(images["label"].to_numpy(dtype=str), return_inverse=True)
    alike = images["near"].where(images["near"] != "", images["pixels"])
    groups = pd.factorize(images["group"].where(images["group"] != "", alike))[0]
    total = 2 * len(images) + inspect.folds
    with bar(total, "features", "row") as progress:
        found = vectors(Features(paths.FEATURES), len(images), inspect.seed, progress.update)
        probabilities = out_of_fold(found, labels, groups, inspect.folds, inspect.seed, progress.update)
    places, distances = neighbours(found)
    images["unusualness"] = unusualness(distances)
    doubted = doubts(probabilities, labels)
    images["doubt"] = doubted.margin
    images["suggested"] = classes[doubted.suggested]
    own = images["path"].to_numpy()
    nearest = ["\n".join(own[places[row][: checks.SIMILAR_SHOWN]]) for row in range(len(images))]
    images["similar"] = images["similar"].where(images["similar"] != "", nearest)


def _figures(images: pd.DataFrame, findings: pd.DataFrame, counts: dict[str, int]) -> dict[str, Any]:
    """Numbers that two versions of the data can be compared by: plain JSON."""
    return {
        "images": len(images),
        "classes": counts,
        "findings": {str(name): int(count) for name, count in findings["check"].value_counts().items()},
        "measures": {
            name: {level: round(float(images[name].quantile(share)), 4) for level, share in LEVELS.items()}
            for name in FIGURES
        },
    }
