"""The recorded images of a version, found on this machine and decoded as by every way of serving."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image

from headstart.errors import DataError, LineageError, ModelError
from headstart.ground import paths
from headstart.host.project import find_root
from headstart.pipeline.data.manifest import read_manifest
from headstart.pipeline.data.reading import read_file
from headstart.progress import bar
from headstart.versions.registry import recorded_images
from headstart.versions.registry.record import MANIFEST, Record
from headstart.versions.serving.predictor import Predictor
from headstart.versions.serving.scoring import score_items

Run = Callable[[np.ndarray], np.ndarray]  # pixels uint8 [N, H, W, 3] to probabilities [N, C]


@dataclass(frozen=True)
class _Model:
    """An exported file as `score_items` asks it: our pixels, its probabilities."""

    predictor: Predictor
    run: Run

    def pixels(self, image: bytes | Image) -> np.ndarray:
        return self.predictor.pixels(image)

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return self.run(pixels)


def find(record: Record, names: Sequence[str], images: Path | None, folder: Path, purpose: str) -> list[Path]:
    """The files of recorded images, by their paths in the manifest.

    Args:
        images: folder of the images, laid out as `data/` was; None for that of the project and for DVC.
        folder: an empty one for fetched files.
        purpose: what needs them, for the error.

    Raises:
        LineageError: an image with the recorded bytes cannot be found.
    """
    if images is None and find_root(Path.cwd()) is None:
        raise LineageError(
            f"the {purpose} images of {record.name} are needed: name their folder with --images, or run this "
            "in the project that has them"
        )
    manifest = read_manifest(record.file(MANIFEST)).set_index("path")
    rows = manifest.loc[list(names)].reset_index()
    return recorded_images.files_of(record, rows, folder, images or paths.DATA)


def answers(run: Run, predictor: Predictor, files: Sequence[Path]) -> np.ndarray:
    """Probabilities [N, C] for image files.

    Raises:
        ModelError: one cannot be read any more.
    """
    return np.stack(list(_rows(run, predictor, files, "check")))


def batches(predictor: Predictor, files: Sequence[Path], size: int, step: str) -> Iterator[np.ndarray]:
    """The pixels of image files, uint8 [n, H, W, 3] with n up to `size`; the next ones are read meanwhile.

    Args:
        step: the name of the progress bar.

    Raises:
        ModelError: one cannot be read any more.
    """
    batch: list[np.ndarray] = []
    for pixels in _rows(lambda same: same, predictor, files, step):
        batch.append(pixels)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _rows(run: Run, predictor: Predictor, files: Sequence[Path], step: str) -> Iterator[np.ndarray]:
    with bar(len(files), step) as progress:
        for path, row in score_items(files, read_file, _Model(predictor, run)):
            if isinstance(row, DataError):
                raise ModelError(f"{path} was recorded with the version, and cannot be read now: {row}")
            yield row
            progress.update()
