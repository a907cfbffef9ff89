"""Parts of the test images that share a property: their size, brightness, folder or camera."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.ground.settings import COLUMN
from headstart.pipeline.pixels.looks import looks
from headstart.pipeline.pixels.packed import PackedImages

LEAST = 5  # images on either side of a slice; fewer could hardly show anything
NUMBERS = 6  # distinct numbers from which on a column of texts is one of numbers
VALUES = 30  # values of a property, the commonest ones, that are slices
THIRDS = 3
EMPTY = "(empty)"


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


@dataclass(frozen=True)
class Sliced:
    """The slices of all properties, each image set once, and the properties with values too rare for one.

    Attributes:
        rare: the number of values without a slice, by property.
    """

    slices: tuple[Slice, ...]
    rare: dict[str, int]


def slices_of(table: pd.DataFrame) -> Sliced:
    """Slices by size, shape, brightness, contrast, sharpness, format, mode, folder and columns of labels.

    Numbers are cut at their terciles. Each other value is a slice; the folder is left out if it only repeats
    the class.

    Args:
        table: the test images, with the columns path, label and row.
    """
    found: list[Slice] = []
    rare: dict[str, int] = {}
    for name, unit, values in [*_of_files(table), *_of_looks(table)]:
        if _is_numeric(values):
            parts = _thirds(values, unit)
        else:
            parts, left = _values(values)
            rare |= {name: left} if left else {}
        found += [
            Slice(name, value, member)
            for value, member in parts
            if LEAST <= member.sum() <= len(table) - LEAST
        ]
    return Sliced(tuple(_distinct(found)), rare)


def _of_files(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    """Properties that the manifest has, which an older one may lack."""
    facts = table[["path"]].merge(load_table(paths.MANIFEST), on="path", how="left", validate="one_to_one")
    sides = facts[["width", "height"]].astype(float)
    yield "Size", " px", np.sqrt(sides["width"] * sides["height"])
    yield "Width over height", "", sides["width"] / sides["height"]
    yield "Format", "", facts["format"]
    yield "Colour mode", "", facts["mode"]
    folders = facts["path"].str.rpartition("/")[0]
    if pd.crosstab(folders, facts["label"]).gt(0).sum(axis=0).gt(1).any():
        yield "Folder", "", folders
    for column in facts.columns:
        if str(column).startswith(COLUMN):
            yield f"Column “{str(column).removeprefix(COLUMN)}”", "", _typed(facts[column])


def _of_looks(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    packed = PackedImages(paths.IMAGES)
    seen = pd.DataFrame([looks(packed.rows(row, row + 1)[0]) for row in table["row"].tolist()])
    for name, values in seen.items():
        yield str(name).capitalize(), "", values


def _typed(column: pd.Series) -> pd.Series:
    """Numbers, if that is what all texts are that are not empty, and they differ enough."""
    texts = column.fillna("").astype(str)
    numbers = pd.to_numeric(texts.mask(texts == ""), errors="coerce")
    is_number = np.isfinite(numbers.to_numpy(float))
    if numbers.nunique() >= NUMBERS and bool((is_number | (texts == "").to_numpy()).all()):
        return numbers
    return texts


def _is_numeric(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values))


def _thirds(values: pd.Series, unit: str) -> list[tuple[str, NDArray[np.bool_]]]:
    """The images below, between and above the terciles, and those without a number."""
    numbers = values.to_numpy(float)
    known = np.isfinite(numbers)
    if not known.any():
        return []
    edges = np.quantile(numbers[known], [part / THIRDS for part in range(1, THIRDS)])
    places = np.searchsorted(edges, numbers, side="left")
    parts = []
    for place in range(THIRDS):
        member = known & (places == place)
        if member.any():
            parts.append((_span(numbers[member].min(), numbers[member].max(), unit), member))
    return [*parts, (EMPTY, ~known)] if not known.all() else parts


def _span(low: float, high: float, unit: str) -> str:
    first, last = _number(low), _number(high)
    return f"{first}{unit}" if first == last else f"{first} to {last}{unit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def _values(values: pd.Series) -> tuple[list[tuple[str, NDArray[np.bool_]]], int]:
    """The commonest values with enough images, and the number of the others."""
    texts = values.fillna("").astype(str)
    counts = texts.value_counts().rename_axis("value").reset_index(name="images")
    counts = counts.sort_values(["images", "value"], ascending=[False, True])
    kept = counts.loc[counts["images"] >= LEAST, "value"].head(VALUES)
    parts = [(value or EMPTY, (texts == value).to_numpy()) for value in sorted(kept)]
    return parts, len(counts) - len(parts)


def _distinct(found: list[Slice]) -> Iterator[Slice]:
    """Each set of images once, under the first name it has."""
    seen: set[bytes] = set()
    for each in found:
        key = each.member.tobytes()
        if key not in seen:
            seen.add(key)
            yield each
