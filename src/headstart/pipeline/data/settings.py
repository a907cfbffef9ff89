"""Sections `validate` and `split` of params.yaml."""

from typing import Literal

from pydantic import model_validator

from headstart.ground.settings import Count, Section, Seed, Share


class Validate(Section):
    """Section `validate`: which files may be used, and what the set must hold."""

    on_bad_file: Literal["exclude", "stop"]
    """leave a bad file out and list it, or fail"""
    max_excluded: Share
    """largest share of all files that may be left out"""
    min_images_per_class: Count
    """fewest images of each class"""
    min_size: Count
    """shortest side of an image in pixels"""
    formats: list[str]
    """accepted file formats, by Pillow's names"""
    modes: list[str]
    """accepted colour modes, by Pillow's names"""


class Split(Section):
    """Section `split`: the share of images in each split."""

    train: Share
    """learned from"""
    val: Share
    """chooses the best epoch and trial"""
    test: Share
    """measured by the evaluate stage"""
    seed: Seed
    """seed of the hash that assigns an image"""

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
