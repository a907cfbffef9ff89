"""The checks of section `inspect` as rules, and their findings: one row each, worst first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from headstart.pipeline.data.rules import Row, Rule
from headstart.pipeline.data.suites import evaluate, shortened
from headstart.pipeline.inspection.settings import Check, Inspect

Explain = Callable[[Row], str]
SIMILAR_SHOWN = 5


@dataclass(frozen=True)
class Measure:
    """A check by its name in params.yaml: the column it looks at, and the words for what it finds.

    Attributes:
        bound: whether the limit is the least or the largest value that is fine.
        title: what the pictures found are.
        needs_features: it cannot be made if nothing is frozen.
    """

    name: str
    column: str
    bound: Literal["least", "largest"]
    title: str
    explain: Explain
    needs_features: bool = False


MEASURES = (  # worst first
    Measure(
        "label",
        "doubt",
        "largest",
        "Labels to check",
        lambda row: (
            f"labelled “{row['label']}”, but “{row['suggested']}” is likelier "
            f"by {100 * row['doubt']:.0f} points"
        ),
        needs_features=True,
    ),
    Measure(
        "near_duplicate",
        "copies",
        "largest",
        "Near duplicates",
        lambda row: (
            f"one of {row['copies']:.0f} files that are nearly the same picture"
            + (f", in {row['copy_labels']:.0f} classes" if row["copy_labels"] > 1 else "")
        ),
    ),
    Measure(
        "outlier",
        "unusualness",
        "largest",
        "Unlike all others",
        lambda row: f"{row['unusualness']:.1f} deviations further from its nearest pictures than usual",
        needs_features=True,
    ),
    Measure("dark", "brightness", "least", "Too dark", lambda row: f"brightness {row['brightness']:.2f}"),
    Measure("light", "brightness", "largest", "Too light", lambda row: f"brightness {row['brightness']:.2f}"),
    Measure(
        "plain",
        "information",
        "least",
        "Little information",
        lambda row: f"{row['information']:.1f} bits of brightness",
    ),
    Measure("blurred", "sharpness", "least", "Blurred", lambda row: f"sharpness {row['sharpness']:.3f}"),
    Measure(
        "size",
        "size_factor",
        "largest",
        "Unusual size",
        lambda row: (
            f"{row['width']} x {row['height']} pixels, {row['size_factor']:.1f} times over or under the usual"
        ),
    ),
    Measure(
        "shape",
        "shape_factor",
        "largest",
        "Unusual shape",
        lambda row: f"{row['width']} x {row['height']} pixels",
    ),
    Measure(
        "grey",
        "like_it",
        "least",
        "Grey among colour, or colour among grey",
        lambda row: f"{'grey' if row['is_grey'] else 'coloured'}, as {row['like_it']:.1%} of all",
    ),
)
TITLES = {measure.name: measure.title for measure in MEASURES}

COLUMNS = [
    *("check", "severity", "path", "label", "split", "value", "limit", "reason"),
    *("suggested", "similar", "row"),
]


def find(images: pd.DataFrame, inspect: Inspect, with_features: bool) -> tuple[pd.DataFrame, list[Row]]:
    """The findings, worst first, and the results of Great Expectations.

    Args:
        images: one row per image with the columns of all measures, and path, label, split, suggested, similar
            (paths of the nearest pictures, one per line), row.
        with_features: whether the columns that need features are there.
    """
    named: list[tuple[Measure, Check]] = [
        (measure, getattr(inspect, measure.name))
        for measure in MEASURES
        if getattr(inspect, measure.name).severity != "ignore"
        and (with_features or not measure.needs_features)
    ]
    rows: list[Row] = []
    results = evaluate("pictures", images, ["row"], [_rule(measure, check) for measure, check in named])
    for (measure, check), result in zip(named, results, strict=True):
        found = images.loc[sorted(row["row"] for row in result["result"]["unexpected_index_list"])]
        worst_first = found.sort_values(
            ["copy_labels", measure.column, "path"], ascending=[False, measure.bound == "least", True]
        )
        rows += [_finding(measure, check, row) for row in worst_first.to_dict("records")]
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = table["severity"].map({"critical": 0, "warning": 1})
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True), [
        shortened(result) for result in results
    ]


def balance(counts: dict[str, int], check: Check) -> tuple[list[str], list[Row]]:
    """Sentences about classes with too few images beside the largest, and Great Expectations' results."""
    if check.severity == "ignore":
        return [], []
    largest = max(counts.values())
    factors = {name: largest / max(count, 1) for name, count in counts.items()}
    table = pd.DataFrame(list(factors.items()), columns=["label", "factor"])
    rule = Rule(
        "factor",
        f"No class has more than {check.limit:g} times as many images as another.",
        lambda rows: "",
        high=check.limit,
        severity=_severity(check),
    )
    [result] = evaluate("classes", table, ["label"], [rule])
    small = [row["label"] for row in result["result"]["unexpected_index_list"]]
    said = [
        f"{name} has {counts[name]} images, the largest class {largest}, {factors[name]:.0f} times as many; "
        f"at most {check.limit:g} times is allowed (inspect.imbalance)"
        for name in small
    ]
    return said, [shortened(result)]


def _rule(measure: Measure, check: Check) -> Rule:
    low, high = (check.limit, None) if measure.bound == "least" else (None, check.limit)
    return Rule(
        measure.column,
        f"{measure.title}: {measure.column} is at {'least' if low is not None else 'most'} {check.limit:g}.",
        lambda rows: "",
        low=low,
        high=high,
        severity=_severity(check),
    )


def _severity(check: Check) -> Literal["critical", "warning"]:
    return "critical" if check.severity == "critical" else "warning"


def _finding(measure: Measure, check: Check, row: Row) -> Row:
    return {
        "check": measure.name,
        "severity": check.severity,
        "value": round(float(row[measure.column]), 6),
        "limit": check.limit,
        "reason": measure.explain(row),
        **{key: row[key] for key in ("path", "label", "split", "similar", "row")},
        "suggested": row["suggested"] if measure.name == "label" else "",
    }
