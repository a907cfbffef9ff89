"""A version's own images as observed by its model, computed once and kept in the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from headstart.errors import ModelError
from headstart.ground.paths import cache_folder
from headstart.pipeline.network import checkpoint
from headstart.versions.monitoring.observing import COLUMNS, Observed

NUMBERS = ("size", "brightness", "contrast", "sharpness", "confidence")
NAMES = tuple(name for name in COLUMNS if name not in NUMBERS)


def kept(key: str, make: Callable[[], Observed]) -> Observed:
    """Return the cached observation, or make and cache it; `key` is a digest of everything it depends on."""
    path: Path = cache_folder() / "references" / f"{key}.safetensors"
    if path.exists():
        try:
            return _load(path)
        except ModelError:  # truncated or damaged: it is only a cache
            path.unlink()
    made = make()
    _save(path, made)
    return made


def _save(path: Path, observed: Observed) -> None:
    numbers = observed.table[list(NUMBERS)].to_numpy(dtype=np.float64, copy=True)
    features = torch.from_numpy(observed.features)
    digest = checkpoint.digest({"features": features, "numbers": torch.from_numpy(numbers)})
    names = {name: observed.table[name].tolist() for name in NAMES}
    described: dict[str, Any] = {"names": names, "digest": digest}
    checkpoint.save(path, {"features": features, "numbers": torch.from_numpy(numbers)}, described)


def _load(path: Path) -> Observed:
    tensors, described = checkpoint.load(path), checkpoint.metadata(path)
    if checkpoint.digest(tensors) != described["digest"]:
        raise ModelError(f"{path} is not what was written")
    table = pd.DataFrame(described["names"])
    table[list(NUMBERS)] = tensors["numbers"].numpy()
    return Observed(table[list(COLUMNS)], tensors["features"].numpy(), ())
