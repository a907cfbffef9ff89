"""Sections `register` and `gate` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.ground.settings import Count, Level, Positive, Section, Share

ModelName = Annotated[str, Field(pattern=r"^[^/:.%\"']+$")]


class Thresholds(Section):
    accuracy: Share
    balanced_accuracy: Share


class Register(Section):
    model: ModelName
    experiment: Annotated[str, Field(min_length=1)]
    package: Literal["shared", "full"]
    dirty: Literal["record", "refuse"]
    thresholds: Thresholds


class Gate(Section):
    margin: Share
    class_margin: Share
    confidence: Level
    min_images: Count
    min_class_images: Count
    mirror: Share | None
    brightness: Share | None
    shift: Share | None
    encoding: Share | None
    behaviour_images: Count
    max_latency_ms: Positive
    max_size_mb: Positive
