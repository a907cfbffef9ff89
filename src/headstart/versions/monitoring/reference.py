"""A version's own images as observed by its model, computed once and kept in the cache."""

import json
from collections.abc import Callable
from pathlib import Path

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
    names = json.dumps({name: observed.table[name].tolist() for name in NAMES}).encode()
    tensors = {
        "features": features,
        "names": torch.frombuffer(bytearray(names), dtype=torch.uint8),
        "numbers": torch.from_numpy(numbers),
    }
    checkpoint.save(path, tensors, {"digest": checkpoint.digest(tensors)})


def _load(path: Path) -> Observed:
    tensors = checkpoint.load_checked(path, ["names"])
    table = pd.DataFrame(json.loads(tensors["names"].numpy().tobytes()))
    table[list(NUMBERS)] = tensors["numbers"].numpy()
    return Observed(table[list(COLUMNS)], tensors["features"].numpy(), ())
