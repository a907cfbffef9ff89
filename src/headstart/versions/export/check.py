"""The answers of an exported file, compared with those that evaluate wrote for every test image."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL.Image import Image

from headstart.errors import DataError, LineageError, ModelError
from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.ground.wording import named
from headstart.host.project import find_root
from headstart.pipeline.data.manifest import read_manifest
from headstart.pipeline.data.reading import read_file
from headstart.progress import bar
from headstart.versions.registry import recorded_images
from headstart.versions.registry.record import AGAIN, MANIFEST, Record
from headstart.versions.serving.predictor import Predictor
from headstart.versions.serving.scoring import score_items

TOLERANCE = 1e-3  # between two probabilities of an image and class
SHOWN = 3

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Checked:
    """The outcome of a check that was passed: test images, and the largest difference of a probability."""

    images: int
    gap: float


@dataclass(frozen=True)
class _Model:
    """An exported file as `score_items` asks it: our pixels, its probabilities."""

    predictor: Predictor
    run: Run

    def pixels(self, image: bytes | Image) -> np.ndarray:
        return self.predictor.pixels(image)

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return self.run(pixels)


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
        files = _test_files(record, expected, images, Path(folder))
        found = _answers(run, predictor, files)
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


def _test_files(record: Record, expected: pd.DataFrame, images: Path | None, folder: Path) -> list[Path]:
    if images is None and find_root(Path.cwd()) is None:
        raise LineageError(
            f"the test images of {record.name} are needed, to compare the exported file with what was "
            "recorded: name their folder with --images, or run this in the project that has them"
        )
    manifest = read_manifest(record.file(MANIFEST)).set_index("path")
    rows = manifest.loc[expected["path"]].reset_index()
    return recorded_images.files_of(record, rows, folder, images or paths.DATA)


def _answers(run: Run, predictor: Predictor, files: list[Path]) -> np.ndarray:
    """Probabilities [N, C] for image files.

    Raises:
        ModelError: one cannot be read any more.
    """
    rows = []
    with bar(len(files), "check") as progress:
        for path, row in score_items(files, read_file, _Model(predictor, run)):
            if isinstance(row, DataError):
                raise ModelError(f"{path} was a test image, and cannot be read now: {row}")
            rows.append(row)
            progress.update()
    return np.stack(rows)
