"""A version's own images as observed by its model, computed once and kept in the cache."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

from headstart.errors import ModelError
from headstart.ground.paths import cache_folder
from headstart.pipeline.network import checkpoint
from headstart.pipeline.store.rows import recipe_digest
from headstart.pipeline.store.store import Store
from headstart.progress import bar
from headstart.versions.monitoring.observing import COLUMNS, Observed, Observer
from headstart.versions.registry.record import Record
from headstart.versions.registry.recorded_images import files_of

NUMBERS = ("size", "brightness", "contrast", "sharpness", "confidence")
NAMES = tuple(name for name in COLUMNS if name not in NUMBERS)


def observed_split(
    record: Record, images: pd.DataFrame, observer: Observer, store: Store, split: str
) -> Observed:
    """Observe images of a version's record, some rows of its manifest; the files are fetched if necessary.

    Rows are in the order of their pictures' digests, so that the first ones are drawn at random.

    Raises:
        LineageError: an image is neither here nor in DVC's cache or remote.
    """
    values = {"recipe": observer.recipe, "sha256": images["sha256"].tolist(), "images": split}
    key = recipe_digest(values, Observer.__module__)

    def make() -> Observed:
        with TemporaryDirectory() as folder:
            files = files_of(record, images, Path(folder))
            found = list(zip(images["path"], files, strict=True))
            with bar(len(found), f"{split} images of {record.name}") as progress:
                return observer.observe(found, store, progress.update)

    return kept(key, make)


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
