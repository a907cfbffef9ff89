"""All that a program needs to know to use an exported file; it travels in the file."""

import json
from collections.abc import Mapping
from typing import Any

from headstart.versions.serving.predictor import Predictor

INPUT, OUTPUT = "pixels", "probabilities"


def describe(predictor: Predictor, model: str, run_id: str) -> dict[str, str]:
    """The description of a version as JSON values by key.

    Keys: `version`, `run_id`, `head` and `backbone` (digests), `classes` in the order of the probabilities;
    `resize` (shorter side), `size` (of the crop from its middle), `interpolation` and `antialias`, by which a
    picture becomes pixels; `mean` and `std`, which the graph applies; `abstain`, the confidence below which
    an answer has no label, or null.
    """
    transform, own = predictor.transform, predictor.head.abstention
    backbone: Mapping[str, Any] = predictor.metadata["backbone"]
    values = {
        "version": model,
        "run_id": run_id,
        "head": predictor.metadata["digest"],
        "backbone": backbone["digest"],
        "classes": predictor.classes,
        "resize": transform.resize_size[0],
        "size": transform.crop_size[0],
        "interpolation": transform.interpolation.value,
        "antialias": transform.antialias,
        "mean": transform.mean,
        "std": transform.std,
        "abstain": None if own is None else own.confidence,
    }
    return {key: json.dumps(value) for key, value in values.items()}
