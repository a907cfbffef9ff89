"""Sections `data`, `validate` and `split` of params.yaml."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from headstart.ground.settings import Count, Section, Seed, Share

PARTS = ("CLASS", "SPLIT", "*")
KNOWN_MODES = (  # that become 8-bit RGB without a guess; floats and 32-bit integers have no known range
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"),
    *("I;16", "I;16L", "I;16B", "I;16N"),
)
USUAL_MODES = [
    *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"),
    *("I;16", "I;16L", "I;16B", "I;16N"),
]


class Data(Section):
    """Section `data`: where images come from, and what their folders mean."""

    source: str | None = None
    """folder or URL whose images the flows bring into data/"""
    settle_seconds: Annotated[float, Field(ge=0)] = 60
    """a file that changed more recently is still arriving"""
    max_removed: Share = 0.5
    """largest share of data/ that a source may lack"""
    layout: str | None = None
    """the folders from data/ down, of CLASS, SPLIT and `*`; None: classes, or splits with classes"""
    labels: Annotated[str, Field(pattern=r"(?i)\.(csv|parquet)$")] | None = None
    """table in data/ with the columns path and label, in place of folders"""

    @model_validator(mode="after")
    def _is_one_way(self) -> "Data":
        if self.layout is None:
            return self
        if self.labels is not None:
            raise ValueError("layout and labels exclude each other; set one of them to null")
        parts = self.layout.split("/")
        if set(parts) - set(PARTS) or parts.count("CLASS") != 1 or parts.count("SPLIT") > 1:
            raise ValueError(
                "layout must be the folders from data/ down, such as CLASS, SPLIT/CLASS or */CLASS (with "
                f"CLASS once, SPLIT at most once), found {self.layout!r}"
            )
        return self


class Validate(Section):
    """Section `validate`: which files may be used, and what the set must hold."""

    on_bad_file: Literal["exclude", "stop"] = "exclude"
    """leave a bad file out and list it, or fail"""
    max_excluded: Share = 0.02
    """largest share of all files that may be left out"""
    min_images_per_class: Count = 10
    """fewest images of each class"""
    min_size: Count = 32
    """shortest side of an image in pixels"""
    formats: list[str] = Field(default=["JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF"])
    """accepted file formats, by Pillow's names"""
    modes: list[str] = Field(default=USUAL_MODES)
    """accepted colour modes, by Pillow's names"""
    near_duplicates: Literal["stop", "report", "ignore"] = "stop"
    """if nearly equal pictures are in different splits: fail or only say so; or look for none"""

    @field_validator("modes")
    @classmethod
    def _are_known(cls, modes: list[str]) -> list[str]:
        if unknown := sorted({*modes} - {*KNOWN_MODES}):
            raise ValueError(
                f"{', '.join(unknown)} cannot be read as 8-bit RGB; expected {', '.join(KNOWN_MODES)}"
            )
        return modes


class Pattern(Section):
    """A group named by a part of the path."""

    regex: str
    """searched in the path below data/; its first group, or all of the match, names the group"""

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str) -> str:
        try:
            re.compile(regex)
        except re.error as error:
            raise ValueError(f"{regex!r} is not a regular expression: {error}") from error
        return regex


class Split(Section):
    """Section `split`: the share of images in each split, and what must stay together."""

    train: Share = 0.6
    """learned from"""
    val: Share = 0.2
    """chooses the best epoch and trial"""
    test: Share = 0.2
    """measured by the evaluate stage"""
    seed: Seed = 0
    """seed of the hash that assigns an image"""
    group: Literal["folder", "column", "similar"] | Pattern | None = None
    """what shares a split: the folder below the class, the table's column `group`, a part of the path, or
    near duplicates"""

    @property
    def fractions(self) -> dict[str, float]:
        """The shares by the names of the splits."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Split":
        if abs(sum(self.fractions.values()) - 1) > 1e-9:
            raise ValueError("train, val and test must sum to 1")
        if min(self.fractions.values()) == 0:
            raise ValueError("train, val and test must each be more than 0")
        return self
