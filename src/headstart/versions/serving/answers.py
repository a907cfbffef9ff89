"""A model's answers: one row per image, the same in a served version and in `headstart.load`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import yaml  # type: ignore[import-untyped]

COLUMNS = ("label", "probabilities", "model_version", "error")
LOADED_FROM = "registered_model_meta"  # MLflow writes it next to a model loaded by version or alias

Answer = tuple[str | None, dict[str, float] | None, str, str | None]


class Answering(Protocol):
    """The part of a predictor that words an answer."""

    @property
    def classes(self) -> Sequence[str]: ...

    def refusal(self, probabilities: np.ndarray) -> str | None: ...


def answer(predictor: Answering, version: str, found: np.ndarray | Exception) -> Answer:
    """The row of an image with these probabilities [C], or with the error that prevented them."""
    if isinstance(found, Exception):
        return None, None, version, str(found)
    classes = predictor.classes
    probabilities = dict(zip(classes, map(float, found), strict=True))
    refusal = predictor.refusal(found)
    return classes[int(found.argmax())] if refusal is None else None, probabilities, version, refusal


def as_table(rows: Sequence[Answer]) -> pd.DataFrame:
    """The table of answers: `label`, `probabilities` by class, `model_version` and `error`; None if empty."""
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)


def version_of(head: Path, digest: str) -> str:
    """`models:/NAME/VERSION` of a model that was loaded by version or alias, else `head DIGEST`.

    When MLflow loads a model by version or alias, it notes the version next to the model's files. A model
    loaded by run or id has no such note; the head's digest always holds.

    Args:
        head: the head's file in the loaded model.
    """
    for folder in head.parents:
        if (folder / "MLmodel").exists():
            note = folder / LOADED_FROM
            found = (yaml.safe_load(note.read_text(encoding="utf-8")) or {}) if note.exists() else {}
            if found.get("model_name") and found.get("model_version"):
                return f"models:/{found['model_name']}/{found['model_version']}"
            break
    return f"head {digest}"
