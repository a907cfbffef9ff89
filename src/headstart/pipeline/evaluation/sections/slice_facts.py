"""Parts of the test images that share a property: their size, brightness, time, folder or camera."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.ground.settings import COLUMN
from headstart.pipeline.evaluation.wording import day, rounded
from headstart.pipeline.pixels.looks import looks
from headstart.pipeline.pixels.packed import PackedImages

LEAST = 5  # images on either side of a slice; fewer could hardly show anything
NUMBERS = 6  # distinct numbers from which on a column of texts is one of numbers
VALUES = 30  # values of a property, the commonest ones, that are slices
THIRDS = 3
EMPTY = "(empty)"
DATE, TIME = "Date taken", "Time taken"
QUARTERS = np.array(
    ["night, 0:00 to 5:59", "morning, 6:00 to 11:59", "afternoon, 12:00 to 17:59", "evening, 18:00 to 23:59"]
)


@dataclass(frozen=True, eq=False)
class Slice:
    """Test images that share a property.

    Attributes:
        fact: the property, such as `Brightness`.
        value: those of its values that the images have.
        member: bool [N], the images.
    """

    fact: str
    value: str
    member: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Property:
    """A value per test image.

    Attributes:
        values: numbers, NaN if unknown, or texts, "" if unknown: [N].
        unit: what follows a number, with its blank.
        word: how a number is written.
        unknown: the name of the slice of images without a value.
    """

    name: str
    values: pd.Series
    unit: str = ""
    word: Callable[[float], str] = rounded
    unknown: str = EMPTY


@dataclass(frozen=True)
class Sliced:
    """The slices of all properties, each image set once, and the properties with values too rare for one.

    Attributes:
        rare: the number of values without a slice, by property.
    """

    slices: tuple[Slice, ...]
    rare: dict[str, int]


def slices_of(table: pd.DataFrame, packed: PackedImages) -> Sliced:
    """Slices by size, shape, brightness, contrast, sharpness, format, mode, time, folder, columns of labels.

    Numbers and dates are cut at their terciles, hours into night, morning, afternoon and evening. Each other
    value is a slice; the folder is left out if it only repeats the class.

    Args:
        table: the test images, with the columns path, label and row.
        packed: the images of all splits, which `row` counts.
    """
    found: list[Slice] = []
    rare: dict[str, int] = {}
    for each in [*_of_files(table), *_of_looks(table, packed)]:
        if pd.api.types.is_numeric_dtype(each.values):
            parts = _thirds(each)
        else:
            parts, left = _values(each)
            rare |= {each.name: left} if left else {}
        found += [
            Slice(each.name, value, member)
            for value, member in parts
            if LEAST <= member.sum() <= len(table) - LEAST
        ]
    return Sliced(tuple(_distinct(found)), rare)


def _of_files(table: pd.DataFrame) -> Iterator[Property]:
    """Properties that the manifest has, which an older one may lack."""
    facts = table[["path"]].merge(load_table(paths.MANIFEST), on="path", how="left", validate="one_to_one")
    sides = facts[["width", "height"]].astype(float)
    yield Property("Size", np.sqrt(sides["width"] * sides["height"]), " px")
    yield Property("Width over height", sides["width"] / sides["height"])
    yield Property("Format", facts["format"])
    yield Property("Colour mode", facts["mode"])
    if "taken" in facts:
        texts = facts["taken"].mask(facts["taken"] == "")
        yield from _of_times(pd.to_datetime(texts, format="ISO8601"))
    folders = facts["path"].str.rpartition("/")[0]
    if pd.crosstab(folders, facts["label"]).gt(0).sum(axis=0).gt(1).any():
        yield Property("Folder", folders)
    for column in facts.columns:
        if str(column).startswith(COLUMN):
            name = str(column).removeprefix(COLUMN)
            yield Property(f"Column “{name}”", _typed(facts[column]))


def _of_times(taken: pd.Series) -> Iterator[Property]:
    """The date, and the quarter of the day if a time is given: with a date alone, programs write midnight."""
    if taken.notna().any():
        yield Property(DATE, (taken - pd.Timestamp(0)).dt.days.astype(float), word=day, unknown="(no date)")
        timed = taken.notna() & (taken != taken.dt.normalize())
        quarters = QUARTERS[taken.dt.hour.fillna(0).astype(int) // 6]
        yield Property(TIME, pd.Series(quarters).where(timed, ""), unknown="(no time)")


def _of_looks(table: pd.DataFrame, packed: PackedImages) -> Iterator[Property]:
    seen = pd.DataFrame([looks(picture) for picture in packed.pictures(table["row"].tolist())])
    for name, values in seen.items():
        yield Property(str(name).capitalize(), values)


def _typed(column: pd.Series) -> pd.Series:
    """Numbers, if that is what all texts are that are not empty, and they differ enough."""
    texts = column.fillna("").astype(str)
    numbers = pd.to_numeric(texts.mask(texts == ""), errors="coerce")
    is_number = np.isfinite(numbers.to_numpy(float))
    if numbers.nunique() >= NUMBERS and bool((is_number | (texts == "").to_numpy()).all()):
        return numbers
    return texts


def _thirds(found: Property) -> list[tuple[str, NDArray[np.bool_]]]:
    """The images below, between and above the terciles, and those without a number."""
    numbers = found.values.to_numpy(float)
    known = np.isfinite(numbers)
    if not known.any():
        return []
    edges = np.quantile(numbers[known], [part / THIRDS for part in range(1, THIRDS)])
    places = np.searchsorted(edges, numbers, side="left")
    parts = []
    for place in range(THIRDS):
        member = known & (places == place)
        if member.any():
            parts.append((_span(numbers[member], found), member))
    return [*parts, (found.unknown, ~known)] if not known.all() else parts


def _span(numbers: NDArray[np.float64], found: Property) -> str:
    first, last = found.word(float(numbers.min())), found.word(float(numbers.max()))
    return f"{first}{found.unit}" if first == last else f"{first} to {last}{found.unit}"


def _values(found: Property) -> tuple[list[tuple[str, NDArray[np.bool_]]], int]:
    """The commonest values with enough images, and the number of the others."""
    texts = found.values.fillna("").astype(str)
    counts = texts.value_counts().rename_axis("value").reset_index(name="images")
    counts = counts.sort_values(["images", "value"], ascending=[False, True])
    kept = counts.loc[counts["images"] >= LEAST, "value"].head(VALUES)
    parts = [(value or found.unknown, (texts == value).to_numpy()) for value in sorted(kept)]
    return parts, len(counts) - len(parts)


def _distinct(found: list[Slice]) -> Iterator[Slice]:
    """Each set of images once, under the first name it has."""
    seen: set[bytes] = set()
    for each in found:
        key = each.member.tobytes()
        if key not in seen:
            seen.add(key)
            yield each
