"""Measure image files: their properties, their features at the cut and the model's answer."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.ground import runtime
from headstart.pipeline.data.decoding import Picture, pixel_digest, read_picture
from headstart.pipeline.data.reading import read_file
from headstart.pipeline.features import compute as computation
from headstart.pipeline.network.checkpoint import RowWriter
from headstart.pipeline.network.network import Network, plan, spec_of
from headstart.pipeline.pixels.looks import looks
from headstart.pipeline.pixels.transforms import normalise, pack
from headstart.pipeline.store.rows import RowStore, recipe_digest
from headstart.versions.serving.predictor import Predictor

WINDOW = 256  # files in flight
WINDOW_BYTES = 2**26  # of rows at the cut
WORKERS = 4
MOST_NUMBERS = 4096  # per image in the features test; larger maps are averaged down
REFUSED = "(refused)"  # in place of a label, so that the share of refusals is compared like those of classes
COLUMNS = ("path", "pixels", "format", "size", "brightness", "contrast", "sharpness", "label", "confidence")


@dataclass(frozen=True)
class Observed:
    """Measurements of a set of images.

    Attributes:
        table: one row per image, with COLUMNS: `pixels` is the digest of the picture, `size` the root of its
            area in pixels; brightness and contrast are the mean and deviation of the luma, in [0, 1], of the
            picture as the network reads it; sharpness is the deviation of its Laplacian over that of the
            luma.
        features: float32 [N, D], the activations at the cut; maps are averaged to at most 4096 numbers.
        failures: path and reason of each file that could not be read.
    """

    table: pd.DataFrame
    features: NDArray[np.float32]
    failures: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.table)

    def where(self, kept: NDArray[np.bool_]) -> "Observed":
        return Observed(self.table[kept].reset_index(drop=True), self.features[kept], self.failures)


@dataclass(frozen=True)
class _Picture:
    facts: dict[str, object]
    packed: NDArray[np.uint8]


class Observer:
    """One model, ready to observe images; features that the row store has are not computed again."""

    def __init__(self, head: Path, backbone: Path) -> None:
        self.predictor = Predictor.load(head, backbone)
        metadata = self.predictor.metadata
        runtime.make_deterministic(0)
        self._network: Network = plan(spec_of(metadata))
        forward = computation.Forward(
            self.predictor.prefix,
            self.predictor.transform,
            self.predictor.precision,
            int(metadata["batch_size"]),
        )
        self._replicas = forward.prepared() if self._network.cut else []
        self._recipe = computation.features_recipe(self._network, metadata["backbone"]["digest"], forward)
        row_bytes = math.prod(self._network.feature_shape) * runtime.DTYPES[forward.precision].itemsize
        self._window = max(forward.batch_size, min(WINDOW, WINDOW_BYTES // row_bytes))

    @property
    def recipe(self) -> str:
        """Digest of everything an observation depends on besides the image."""
        own = {"observed": COLUMNS, "features": self._recipe, "head": self.predictor.metadata["digest"]}
        return recipe_digest(own, __name__)

    def observe(
        self,
        files: Sequence[tuple[str, Path]],
        store: RowStore,
        advance: Callable[[int], object] = lambda count: None,
    ) -> Observed:
        """Observe files, each given with the name to report it by; unreadable ones are listed as failures.

        Memory holds one window of pictures, plus one row of numbers per image.
        """
        rows: list[dict[str, object]] = []
        features: list[NDArray[np.float32]] = []
        failures: list[tuple[str, str]] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            for start in range(0, len(files), self._window):
                part = files[start : start + self._window]
                read = list(pool.map(lambda file: self._read(*file), part))
                good = [each for each in read if isinstance(each, _Picture)]
                failures += [
                    (name, str(error))
                    for (name, _), error in zip(part, read, strict=True)
                    if isinstance(error, DataError)
                ]
                if good:
                    found, probabilities = self._answer(good, store)
                    features.append(found)
                    rows += [self._row(each, p) for each, p in zip(good, probabilities, strict=True)]
                advance(len(part))
        numbers = np.concatenate(features) if features else np.empty((0, 0), np.float32)
        return Observed(pd.DataFrame(rows, columns=list(COLUMNS)), numbers, tuple(failures))

    def _read(self, name: str, path: Path) -> _Picture | DataError:
        try:
            with read_picture(read_file(path), self.predictor.limits) as found:
                return self._picture(name, found)
        except DataError as error:
            return error
        except OSError as error:
            return DataError(error.strerror or str(error))

    def _picture(self, name: str, found: Picture) -> _Picture:
        packed = pack(found.rgb, self.predictor.transform)
        facts: dict[str, object] = {
            "path": name,
            "pixels": pixel_digest(found.rgb),
            "format": f"{found.format} {found.mode}",
            "size": math.sqrt(found.rgb.width * found.rgb.height),
            **looks(packed),
        }
        return _Picture(facts, packed)

    def _row(self, picture: _Picture, probabilities: NDArray[np.float64]) -> dict[str, object]:
        best = int(probabilities.argmax())
        refused = self.predictor.refusal(probabilities) is not None
        label = REFUSED if refused else self.predictor.classes[best]
        answer = {"label": label, "confidence": float(probabilities[best])}
        return {**picture.facts, **answer}

    @torch.inference_mode()
    def _answer(
        self, pictures: Sequence[_Picture], store: RowStore
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Features at the cut [n, D] and probabilities [n, C]."""
        found, answers = [], []
        for rows in self._rows(pictures, store):
            found.append(_shrunk(rows).numpy())
            answers.append(self.predictor.head.probabilities(rows.to(runtime.device())).cpu().numpy())
        return np.concatenate(found), np.concatenate(answers)

    def _rows(self, pictures: Sequence[_Picture], store: RowStore) -> Iterator[torch.Tensor]:
        """The head's inputs, float32 in batches on the CPU; if the cut is the input, the pictures."""
        size = self._network.eval_batch
        packed = _Packed([picture.packed for picture in pictures])
        if not self._network.cut:
            for start in range(0, len(pictures), size):
                batch = torch.from_numpy(packed.rows(start, min(start + size, len(pictures))))
                yield normalise(batch, self.predictor.transform)
            return
        keys = [str(picture.facts["pixels"]) for picture in pictures]
        written = _Held(self._network, runtime.DTYPES[self.predictor.precision])
        computation.write_features(self._replicas, packed, keys, store, self._recipe, written)
        for start in range(0, len(pictures), size):
            yield written.tensor(start, start + size)


def _shrunk(rows: torch.Tensor) -> torch.Tensor:
    """Rows [n, D]; maps [n, C, H, W] are averaged to square maps that fit in MOST_NUMBERS."""
    if rows.dim() == 2:
        return rows
    side = min(rows.shape[2], max(1, math.isqrt(MOST_NUMBERS // rows.shape[1])))
    return torch.nn.functional.adaptive_avg_pool2d(rows, side).flatten(1)


class _Packed:
    """Packed pictures in memory, in the form that `write_features` reads."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        self._pictures = pictures

    def rows(self, start: int, stop: int) -> np.ndarray:
        return np.stack(self._pictures[start:stop])


class _Held(RowWriter):
    """Rows held in memory; a stage writes them to a file instead."""

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        self._shape, self._dtype = network.feature_shape, dtype
        self.row_bytes = math.prod(network.feature_shape) * dtype.itemsize
        self._held: list[bytes] = []

    def write(self, rows: bytes) -> None:
        self._held.append(rows)

    def tensor(self, start: int, stop: int) -> torch.Tensor:
        """The rows from `start` to `stop`: float32 [n, *shape]."""
        part = self._held[start:stop]
        raw = torch.frombuffer(bytearray(b"".join(part)), dtype=torch.uint8)
        rows = raw.view(self._dtype).reshape(len(part), *self._shape).float()
        return rows.contiguous(memory_format=torch.channels_last) if rows.dim() == 4 else rows
