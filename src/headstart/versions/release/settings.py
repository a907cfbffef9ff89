"""Sections `register` and `gate` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from headstart.ground.settings import Count, Level, Positive, Section, Share

ModelName = Annotated[str, Field(pattern=r"^[^/:.%\"']+$")]


class Thresholds(Section):
    """Least values on all test images."""

    accuracy: Share = 0.85
    balanced_accuracy: Share = 0.8


class Register(Section):
    model: ModelName = "headstart"
    """the registered model's name in MLflow"""
    experiment: Annotated[str, Field(min_length=1)] = "headstart"
    """the MLflow experiment of the runs"""
    package: Literal["shared", "full"] = "shared"
    """whether versions share the frozen layers, or each holds the whole network"""
    dirty: Literal["record", "refuse"] = "record"
    """what becomes of uncommitted changes: stored as a patch, or an error"""
    thresholds: Thresholds = Thresholds()


class Gate(Section):
    margin: Share = 0.05
    """how much lower than the champion's the accuracy may be"""
    class_margin: Share = 0.15
    """a class fails if its recall fell by more than this, and by more than chance explains"""
    confidence: Level = 0.9
    """of the two-sided interval; with 0.9 a model worse by the margin passes in one case of twenty, and two
    that are equally good fail at a class in at most one of twenty, for any number of classes"""
    min_images: Count = 50
    """images unseen by the champion that the comparison needs"""
    min_class_images: Count = 10
    """a class with fewer, or with too few for any finding, is named and not judged"""
    mirror: Share | None = 0.85
    """least share of mirrored pictures that keep their label; None: not checked"""
    brightness: Share | None = 0.85
    """the same, for darker and brighter pictures"""
    shift: Share | None = 0.85
    """the same, for shifted pictures"""
    encoding: Share | None = 0.9
    """the same, for pictures encoded as JPEG again"""
    behaviour_images: Count = 50
    """test images that are changed, at most"""
    max_latency_ms: Positive = 2000
    """median of a batch of one, on the machine that runs the gate"""
    max_size_mb: Positive = 600
    """of the version's own files"""


@dataclass(frozen=True)
class Requirements:
    """All that a version must meet: section `gate`, and `register.thresholds`."""

    thresholds: Thresholds
    gate: Gate
