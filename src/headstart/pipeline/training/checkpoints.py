"""Saved states of unfinished trainings, and the key by which a training finds its own."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from headstart.ground import paths, runtime
from headstart.ground.import_closure import closure_digest
from headstart.ground.paths import cache_folder
from headstart.pipeline.features.feature_file import Rows
from headstart.pipeline.training.resuming import Checkpoint
from headstart.pipeline.training.settings import Train

ABANDONED_SECONDS = 3600  # far longer than writing a state takes
SAMPLED_ROWS = 16


def checkpoint_key(
    train: Train, metadata: Mapping[str, Any], table: pd.DataFrame, rows: Rows, module: str
) -> str:
    """Digest of everything that determines a training's result; only one with the same key may resume.

    The code is that of `module`, the stage, with everything it imports. The rows are only sampled: the
    backbone's digest in `metadata` and the images' digests in `table` already identify them.
    """
    sample = np.linspace(0, len(table) - 1, num=min(SAMPLED_ROWS, len(table)), dtype=int)
    sha = hashlib.sha256()
    for part in (
        train.model_dump(),
        metadata,
        runtime.environment(train.precision, paths.LOCK).to_dict(),
        torch.get_num_threads(),
        closure_digest(module),
        table.to_dict(orient="list"),
    ):
        sha.update(json.dumps(part, sort_keys=True).encode())
    for row in sample:
        sha.update(rows.rows(int(row), int(row) + 1).numpy().tobytes())
    return sha.hexdigest()


def checkpoint_of(key: str, first: int = 0) -> Checkpoint:
    """The state of the group of trials that starts with trial `first`, or of a single training."""
    return Checkpoint(_folder() / f"{key}-{first}.safetensors")


def stored_checkpoints(key: str) -> list[Path]:
    """The files left by a training that was stopped."""
    return list(_folder().glob(f"{key}-*.safetensors"))


def remove_checkpoints(key: str) -> None:
    """Remove a finished training's files, and half-written ones left by any that was killed."""
    left = [path for path in _folder().glob(".*") if time.time() - path.stat().st_mtime > ABANDONED_SECONDS]
    for path in [*stored_checkpoints(key), *left]:
        path.unlink(missing_ok=True)


def _folder() -> Path:
    return cache_folder() / "checkpoints"
