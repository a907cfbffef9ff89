"""The rules of the validate stage, and the sentence a user reads if one is broken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from headstart.ground import paths
from headstart.ground.settings import SPLITS
from headstart.ground.wording import named
from headstart.pipeline.data import limits
from headstart.pipeline.data.settings import Validate

Row = dict[str, Any]
Explain = Callable[[list[Row]], str]

MIN_IMAGES_PER_SPLIT = 1  # per class


@dataclass(frozen=True)
class Rule:
    """Every value of a column is among `allowed` or, if that is None, in [low, high].

    Attributes:
        explain: turns the rows that break the rule, at least one, into a sentence.
        readable_only: the rule does not apply to files that cannot be decoded.
        except_format: the rule does not apply to files of this format.
        severity: a critical rule of the set stops training.
    """

    column: str
    description: str
    explain: Explain
    allowed: tuple[str | int, ...] | None = None
    low: float | None = None
    high: float | None = None
    readable_only: bool = False
    except_format: str = ""
    severity: Literal["critical", "warning"] = "critical"


def file_rules(validate: Validate, labels: Sequence[str], unlabelled: str) -> list[Rule]:
    """The rules for single files; `labels` are the known classes, `unlabelled` the reason for none."""
    rules = [
        Rule("error", "Every file can be decoded.", _undecodable, allowed=("",)),
        _label(labels, unlabelled),
        _readable("format", tuple(validate.formats)),
        _readable("mode", tuple(validate.modes)),
        _long_enough("width", validate.min_size),
        _long_enough("height", validate.min_size),
        Rule(
            "frames",
            "Every readable file is one picture.",
            lambda rows: limits.several_frames(rows[0]["frames"]),
            allowed=(1,),
            readable_only=True,
            except_format=limits.MULTI_PICTURE,
        ),
    ]
    return [replace(rule, severity="warning") for rule in rules]


def summary_rules(validate: Validate, excluded: Sequence[str], labels: Sequence[str]) -> list[Rule]:
    """The rules for the whole set, given its `excluded` paths and the `labels` that have images."""
    return [
        Rule("kept_files", "At least one file is left.", _none_left, low=1),
        Rule(
            "classes",
            "At least two classes have images.",
            lambda _: (
                f"{_count(labels, 'class', 'classes')} with images: {named(labels) or 'none'}; "
                "expected at least 2: put the images of each class in a folder under data/"
            ),
            low=2,
        ),
        _few_excluded(validate.max_excluded, excluded),
    ]


def class_rules(least: int) -> list[Rule]:
    """The rule for a table with one row per class."""

    def explain(rows: list[Row]) -> str:
        found = [f"{row['label']} ({row['images_in_class']})" for row in rows]
        return (
            f"Too few images in {_count(found, 'class', 'classes')}: {named(found)}; expected at "
            f"least {least} in each: add images, or take the class folder out of data/"
        )

    return [Rule("images_in_class", f"Images of every class: at least {least}.", explain, low=least)]


def split_rules(least: int = MIN_IMAGES_PER_SPLIT) -> list[Rule]:
    """The rule for a table with one row per class and split."""

    def explain(rows: list[Row]) -> str:
        found = [f"{row['label']} in {row['split']} ({row['images_in_split']})" for row in rows]
        return (
            f"Too few images of a class in a split: {named(found)}; expected at least {least} of "
            "each class in each split: add images, or change the shares of the splits"
        )

    description = f"Images of every class in each split: at least {least}."
    return [Rule("images_in_split", description, explain, low=least)]


def picture_rules() -> list[Rule]:
    """The rules for kept files. A picture in two splits would be both trained and tested on."""
    return [
        Rule(
            "split",
            f"Every kept file is in one of the splits {', '.join(SPLITS)}.",
            lambda rows: (
                f"{_count(rows, 'file', 'files')} in no known split: {_files(rows, 'split')}; "
                f"expected one of {', '.join(SPLITS)}: run the validate stage again"
            ),
            allowed=SPLITS,
        ),
        Rule(
            "labels_of_picture",
            "No picture has two labels.",
            lambda rows: (
                f"{_count(rows, 'file', 'files')} whose picture is in another class too: "
                f"{_files(rows, 'label')}; expected one class for a picture: remove the copies "
                "that are in the wrong folder"
            ),
            high=1,
        ),
        Rule(
            "splits_of_picture",
            "No picture is in two splits.",
            lambda rows: (
                f"{_count(rows, 'file', 'files')} whose picture is in another split too: "
                f"{_files(rows, 'split')}; expected one split for a picture: remove all copies "
                "but one"
            ),
            high=1,
        ),
    ]


def near_duplicate_rules(stop: bool) -> list[Rule]:
    """The rules for a table with one row per group of near duplicates: `across_splits`, `across_labels`."""
    return [
        Rule(
            "splits",
            "No near duplicates are in several splits.",
            lambda rows: (
                f"{_count(rows, 'group', 'groups')} of near duplicates in several splits: "
                f"{named([row['across_splits'] for row in rows], 5)}; expected each in one, or the test "
                f"asks what was learned by heart: look at {paths.NEAR_DUPLICATES}, then set `split.group: "
                "similar`, or remove the copies; `validate.near_duplicates: report` trains all the same"
            ),
            high=1,
            severity="critical" if stop else "warning",
        ),
        Rule(
            "labels",
            "No near duplicates are in several classes.",
            lambda rows: (
                f"{_count(rows, 'group', 'groups')} of near duplicates in several classes: "
                f"{named([row['across_labels'] for row in rows], 5)}"
            ),
            high=1,
            severity="warning",
        ),
    ]


def _undecodable(rows: list[Row]) -> str:
    return f"cannot be decoded: {rows[0]['error'].removeprefix('cannot be decoded: ')}"


def _label(labels: Sequence[str], unlabelled: str) -> Rule:
    def explain(rows: list[Row]) -> str:
        if found := rows[0]["label"]:
            return f"class is {found}, expected one of {named(labels)}"
        return unlabelled

    description = "Every file has a known class."
    return Rule("label", description, explain, allowed=tuple(labels))


def _readable(column: str, allowed: tuple[str, ...]) -> Rule:
    def explain(rows: list[Row]) -> str:
        return limits.other_kind(column, rows[0][column], allowed)

    description = f"The {column} of every readable file is one of {', '.join(allowed)}."
    return Rule(column, description, explain, allowed=allowed, readable_only=True)


def _long_enough(column: str, least: int) -> Rule:
    def explain(rows: list[Row]) -> str:
        return limits.too_short(column, rows[0][column], least)

    description = f"The {column} of every readable file is at least {least} pixels."
    return Rule(column, description, explain, low=least, readable_only=True)


def _none_left(rows: list[Row]) -> str:
    return (
        f"None of {rows[0]['files']} files is left, expected at least 1: put images under "
        "data/CLASS/ and see why others were left out"
    )


def _few_excluded(most: float, excluded: Sequence[str]) -> Rule:
    def explain(rows: list[Row]) -> str:
        files, share = rows[0]["files"], rows[0]["excluded_share"]
        return (
            f"{len(excluded)} of {files} files ({share:.1%}) are left out, expected at most "
            f"{most:.1%}: {named(excluded)}; repair or remove them, or allow a larger share"
        )

    description = f"At most {most:.1%} of all files are left out."
    return Rule("excluded_share", description, explain, high=most)


def _files(rows: list[Row], key: str) -> str:
    return named(f"{row['path']} ({row[key] or 'none'})" for row in rows)


def _count(things: Sequence[object], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"
