"""Answers of a registered version to image files, from a process that runs the version's own code."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headstart.errors import TrackingError

PACKAGE = Path(__file__).resolve().parent.parent
BATCH = 16
TIMED = 20


@dataclass(frozen=True)
class Scores:
    """What a version answered.

    Attributes:
        labels: one a file.
        probabilities: float64 [N, C], columns as `classes`.
        milliseconds: median of a batch of one; None where it was not timed.
        megabytes: of the version's own files; a backbone that versions share is not counted.
    """

    labels: list[str]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    milliseconds: float | None
    megabytes: float


def score(uri: str, files: Sequence[Path], *, is_timed: bool = False) -> Scores:
    """Ask a version, `models:/NAME/VERSION`, about image files.

    Raises:
        TrackingError: it does not load or answer, or code of this tree answered in its place.
    """
    with TemporaryDirectory() as folder:
        job, out = Path(folder) / "job.json", Path(folder) / "answers.parquet"
        paths = [str(path.resolve()) for path in files]
        wanted = {"uri": uri, "files": paths, "batch": BATCH, "timed": TIMED if is_timed else 0}
        job.write_text(json.dumps({**wanted, "out": str(out)}), encoding="utf-8")
        command = [sys.executable, "-P", str(Path(__file__).with_name("scorer.py")), str(job)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise TrackingError(f"{uri} does not answer: {done.stderr.strip()[-2000:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        if Path(said["code"]).resolve() == PACKAGE:
            raise TrackingError(f"{uri} ran the code of this tree, not the code packed with it")
        table = pq.read_table(out)
    classes = tuple(said["classes"])
    flat = table["probabilities"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Scores(
        labels=table["label"].to_pylist(),
        probabilities=flat.reshape(-1, len(classes)),
        classes=classes,
        milliseconds=said["milliseconds"],
        megabytes=said["bytes"] / 1e6,
    )
