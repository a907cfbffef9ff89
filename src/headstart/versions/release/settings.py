"""Sections `register` and `gate` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from headstart.ground.settings import Count, Level, Positive, Section, Share

ModelName = Annotated[str, Field(pattern=r"^[^/:.%\"']+$")]


class Thresholds(Section):
    """Least values on all test images."""

    accuracy: Share
    balanced_accuracy: Share


class Register(Section):
    model: ModelName
    """the registered model's name in MLflow"""
    experiment: Annotated[str, Field(min_length=1)]
    """the MLflow experiment of the runs"""
    package: Literal["shared", "full"]
    """whether versions share the frozen layers, or each holds the whole network"""
    dirty: Literal["record", "refuse"]
    """what becomes of uncommitted changes: stored as a patch, or an error"""
    thresholds: Thresholds


class Gate(Section):
    margin: Share
    """how much lower than the champion's the accuracy may be"""
    class_margin: Share
    """the same, for the recall of each class"""
    confidence: Level
    """of the two-sided interval; with 0.9 a model worse by the margin passes in one case of twenty"""
    min_images: Count
    """images unseen by the champion that the comparison needs"""
    min_class_images: Count
    """a class with fewer is named and not judged"""
    mirror: Share | None
    """least share of mirrored pictures that keep their label; None: not checked"""
    brightness: Share | None
    """the same, for darker and brighter pictures"""
    shift: Share | None
    """the same, for shifted pictures"""
    encoding: Share | None
    """the same, for pictures encoded as JPEG again"""
    behaviour_images: Count
    """test images that are changed, at most"""
    max_latency_ms: Positive
    """median of a batch of one, on the machine that runs the gate"""
    max_size_mb: Positive
    """of the version's own files"""


@dataclass(frozen=True)
class Requirements:
    """All that a version must meet: section `gate`, and `register.thresholds`."""

    thresholds: Thresholds
    gate: Gate
