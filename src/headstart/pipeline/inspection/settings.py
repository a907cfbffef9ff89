"""Section `inspect` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.ground.settings import NotNegative, Section, Seed


class Check(Section):
    """A check of each picture: what it means if a picture fails it, and the limit."""

    severity: Literal["critical", "warning", "ignore"]
    """critical: the stage fails; warning: the picture is listed; ignore: nobody looks"""
    limit: NotNegative
    """the least or the largest value that is fine, as the check says"""


class Inspect(Section):
    """Section `inspect`: the checks of each picture, and of the set."""

    label: Check
    """how much more likely another class may be than the given one, if confident learning doubts the label"""
    near_duplicate: Check
    """largest number of files that are nearly the same picture"""
    outlier: Check
    """largest distance from the nearest pictures, in robust deviations from what is usual"""
    dark: Check
    """least brightness, 0 is black and 1 is white"""
    light: Check
    """largest brightness"""
    plain: Check
    """least information: entropy of the brightness in bits"""
    blurred: Check
    """least sharpness: deviation of the Laplacian over that of the brightness"""
    size: Check
    """largest factor between a picture's size and the usual one"""
    shape: Check
    """largest factor between a picture's ratio of sides and the usual one"""
    grey: Check
    """least share of pictures like it: of grey ones among colour, or the other way round"""
    imbalance: Check
    """largest factor between the largest class and a class"""
    folds: Annotated[int, Field(ge=2)]
    """parts of the set for out-of-fold predictions"""
    seed: Seed
    """seed of the parts, and of the projection of wide features"""
