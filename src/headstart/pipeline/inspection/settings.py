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

    label: Check = Check(severity="warning", limit=0)
    """how much more likely another class may be than the given one, if confident learning doubts the label"""
    near_duplicate: Check = Check(severity="warning", limit=1)
    """largest number of files that are nearly the same picture"""
    outlier: Check = Check(severity="warning", limit=4)
    """largest distance from the nearest pictures, in robust deviations from what is usual"""
    dark: Check = Check(severity="warning", limit=0.08)
    """least brightness, 0 is black and 1 is white"""
    light: Check = Check(severity="warning", limit=0.94)
    """largest brightness"""
    plain: Check = Check(severity="warning", limit=2)
    """least information: entropy of the brightness in bits"""
    blurred: Check = Check(severity="warning", limit=0.06)
    """least sharpness: deviation of the Laplacian over that of the brightness"""
    size: Check = Check(severity="warning", limit=8)
    """largest factor between a picture's size and the usual one"""
    shape: Check = Check(severity="warning", limit=2.5)
    """largest factor between a picture's ratio of sides and the usual one"""
    grey: Check = Check(severity="warning", limit=0.05)
    """least share of pictures like it: of grey ones among colour, or the other way round"""
    imbalance: Check = Check(severity="warning", limit=10)
    """largest factor between the largest class and a class"""
    folds: Annotated[int, Field(ge=2)] = 5
    """parts of the set for out-of-fold predictions"""
    seed: Seed = 0
    """seed of the parts, and of the projection of wide features"""
