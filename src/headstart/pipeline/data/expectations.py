"""The rules of the validate stage, checked: files on their own, then the set."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from headstart.errors import DataError
from headstart.ground.settings import SPLITS
from headstart.ground.wording import named
from headstart.pipeline.data import alike
from headstart.pipeline.data import rules as rule_book
from headstart.pipeline.data.alike import NearDuplicates
from headstart.pipeline.data.rules import Row
from headstart.pipeline.data.settings import Validate
from headstart.pipeline.data.splits import Placed
from headstart.pipeline.data.suites import evaluate, shortened

Counts = dict[str, dict[str, int]]

MAX_EXCLUDED_STORED = 1000  # the manifest has all of them


@dataclass(frozen=True)
class FileCheck:
    """`failures`: the reason a file cannot be used, by path. `results`: plain JSON, one per expectation."""

    failures: dict[str, str]
    results: list[Row]


@dataclass(frozen=True)
class SetCheck:
    """Result of checking the set.

    Attributes:
        problems: one sentence each; empty if the set can be trained on.
        classes: number of kept images by label and split.
        results: plain JSON, one per expectation.
    """

    problems: tuple[str, ...]
    classes: Counts
    results: list[Row]


def check_files(
    manifest: pd.DataFrame,
    validate: Validate,
    labels: Sequence[str] | None = None,
    unlabelled: str = "is not in a class folder, expected data/CLASS/FILE",
) -> FileCheck:
    """Check each file on its own; if it cannot be read, its label is the only other thing checked.

    Args:
        manifest: one row per file: path, label, format, mode, width, height, frames, error.
        labels: the known classes; None means those in the manifest.
        unlabelled: the reason for a file without a class.

    Raises:
        DataError: the manifest lacks a column or a value.
        HeadstartError: an expectation could not be evaluated.
    """
    columns = ["path", "label", "format", "mode", "width", "height", "frames", "error"]
    table = _complete(manifest, columns)
    checks = rule_book.file_rules(validate, labels or _labels(table), unlabelled)
    results = evaluate("files", table, ["path"], checks)
    reasons: dict[str, list[str]] = {}
    for check, result in zip(checks, results, strict=True):
        for row in result["result"]["unexpected_index_list"]:
            reasons.setdefault(row["path"], []).append(check.explain([row]))
    failures = {path: "; ".join(reasons[path]) for path in sorted(reasons)}
    return FileCheck(failures, [shortened(result) for result in results])


def check_set(
    manifest: pd.DataFrame,
    validate: Validate,
    near: NearDuplicates = alike.NONE,
    labels: Sequence[str] | None = None,
) -> SetCheck:
    """Check the kept files, those whose `excluded` is empty, as a set to train on.

    Args:
        manifest: one row per file, left out or not: path, label, pixels, split, excluded.
        near: the files that have near duplicates.
        labels: the expected classes; None means those in the manifest.

    Raises:
        DataError: the manifest lacks a column or a value, or a kept file was not decoded.
        HeadstartError: an expectation could not be evaluated.
    """
    table = _complete(manifest, ["path", "label", "pixels", "split", "excluded"])
    kept = _kept(table)
    classes = _class_counts(kept, labels or _labels(table))
    out = table.loc[table["excluded"] != "", "path"].tolist()
    problems: list[str] = []
    results: list[Row] = []
    for rows, keys, checks in (
        (_totals(table, kept), ["files"], rule_book.summary_rules(validate, out, _labels(kept))),
        (_per_class(classes), ["label"], rule_book.class_rules(validate.min_images_per_class)),
        (_per_split(classes), ["label", "split"], rule_book.split_rules()),
        (kept, ["picture", "path", "label", "split"], rule_book.picture_rules()),
        (
            near.groups,
            ["across_splits", "across_labels"],
            rule_book.near_duplicate_rules(stop=validate.near_duplicates == "stop"),
        ),
    ):
        found = evaluate("set", rows, keys, checks)
        for check, result in zip(checks, found, strict=True):
            failing = result["result"]["unexpected_index_list"]
            if failing and check.severity == "critical":
                problems.append(check.explain(failing))
            results.append(shortened(result))
    return SetCheck(tuple(problems), classes, results)


def to_json(
    manifest: pd.DataFrame,
    files: FileCheck,
    whole: SetCheck,
    others: Sequence[str] = (),
    placed: Sequence[Placed] = (),
    near: NearDuplicates = alike.NONE,
) -> Row:
    """The document of reports/validation.json: plain JSON without times, IDs or folders.

    `excluded` lists at most 1000 files; the full count is `files` minus `kept`. `others`, files that are not
    images, are not among them: their number, and the first 1000.
    """
    excluded = manifest.loc[manifest["excluded"] != "", ["path", "excluded"]].sort_values("path")
    return {
        "success": not whole.problems,
        "files": len(manifest),
        "kept": len(manifest) - len(excluded),
        "excluded": [
            {"path": path, "reason": reason}
            for path, reason in excluded.head(MAX_EXCLUDED_STORED).itertuples(index=False)
        ],
        "others": {"files": len(others), "paths": list(others[:MAX_EXCLUDED_STORED])},
        "placed": [asdict(each) for each in placed[:MAX_EXCLUDED_STORED]],
        "near_duplicates": alike.to_json(near),
        "problems": list(whole.problems),
        "classes": whole.classes,
        "suites": [
            {"name": "files", "results": files.results},
            {"name": "set", "results": whole.results},
        ],
    }


def _complete(manifest: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """These columns, ordered by path. GX skips nulls, so there must be none."""
    if missing := [column for column in columns if column not in manifest]:
        raise DataError(f"the manifest lacks {', '.join(missing)}: run the validate stage again")
    table = manifest[columns].sort_values("path", ignore_index=True)
    if holes := [column for column in columns if table[column].isna().any()]:
        raise DataError(f"the manifest has empty cells in {', '.join(holes)}, expected none")
    return table


def _kept(table: pd.DataFrame) -> pd.DataFrame:
    """The kept files, copies next to each other, each with the number of labels and splits of its picture."""
    kept = table[table["excluded"] == ""]
    if blank := kept.loc[kept["pixels"] == "", "path"].tolist():
        raise DataError(f"{named(blank)}: kept, but not decoded; expected a reason in `excluded`")
    same = kept.groupby("pixels")
    return kept.assign(
        picture=kept["pixels"].str[:12],
        labels_of_picture=same["label"].transform("nunique").astype("int64"),
        splits_of_picture=same["split"].transform("nunique").astype("int64"),
    ).sort_values(["pixels", "path"], ignore_index=True)


def _labels(table: pd.DataFrame) -> list[str]:
    return sorted(label for label in table["label"].unique() if label)


def _class_counts(kept: pd.DataFrame, labels: Iterable[str]) -> Counts:
    sizes = kept.groupby(["label", "split"]).size().to_dict()
    return {
        label: {split: int(sizes.get((label, split), 0)) for split in SPLITS}
        for label in sorted({*labels, *_labels(kept)})
    }


def _totals(table: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    share = (len(table) - len(kept)) / max(len(table), 1)
    names = ["files", "kept_files", "classes", "excluded_share"]
    return pd.DataFrame([(len(table), len(kept), len(_labels(kept)), share)], columns=names)


def _per_class(classes: Counts) -> pd.DataFrame:
    rows = [(label, sum(splits.values())) for label, splits in classes.items()]
    return pd.DataFrame(rows, columns=["label", "images_in_class"])


def _per_split(classes: Counts) -> pd.DataFrame:
    rows = [(label, split, n) for label, splits in classes.items() for split, n in splits.items()]
    return pd.DataFrame(rows, columns=["label", "split", "images_in_split"])
