"""The answers of an exported file, compared with those that evaluate wrote for every test image."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.errors import ModelError
from headstart.ground.reading import load_table
from headstart.ground.wording import named
from headstart.versions.export.images import Run, answers, find
from headstart.versions.registry.record import AGAIN, Record
from headstart.versions.serving.predictor import Predictor

TOLERANCE = 1e-3  # between two probabilities of an image and class
SHOWN = 3


@dataclass(frozen=True)
class Checked:
    """The outcome of a check that was passed: test images, and the largest difference of a probability."""

    images: int
    gap: float


def check(run: Run, predictor: Predictor, record: Record, images: Path | None) -> Checked:
    """Compare a file's answers with the recorded test predictions: the label of each, probabilities by 0.001.

    Args:
        run: maps pixels uint8 [N, H, W, 3] to probabilities [N, C].
        predictor: of the same version, for its pixels.
        images: folder of the images, laid out as `data/` was; None for that of the project and for DVC.

    Raises:
        ModelError: an answer differs.
        LineageError: a test image with the recorded bytes cannot be found.
    """
    record.check()
    expected = load_table(record.predictions, advice=AGAIN)
    with tempfile.TemporaryDirectory(prefix="headstart-images-") as folder:
        found = answers(run, predictor, find(record, list(expected["path"]), images, Path(folder), "test"))
    columns = [f"probability:{name}" for name in predictor.classes]
    gaps = np.abs(found - expected[columns].to_numpy()).max(axis=1)
    labels = np.asarray(predictor.classes, dtype=object)[found.argmax(axis=1)]
    wrong = (labels != expected["predicted"].to_numpy()) | ~(gaps <= TOLERANCE)
    if wrong.any():
        coarse = (
            "; the version computes in bf16, which the float32 of the file does not repeat: train one with "
            "features.precision: fp32"
            if predictor.precision == "bf16"
            else "; export it on the kind of machine that evaluated it, or report the fault"
        )
        raise ModelError(
            f"the exported file does not answer as {record.name} was evaluated, for {wrong.sum()} of "
            f"{len(wrong)} test images ({named(expected['path'][wrong], SHOWN)}): probabilities differ by up "
            f"to {gaps.max():.2g}, expected at most {TOLERANCE:g} and the same labels. Nothing was "
            f"written{coarse}"
        )
    return Checked(len(wrong), float(gaps.max()))
