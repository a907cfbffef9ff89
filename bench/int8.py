"""Choices of an int8 export on a registered version: ranges, layers, bits of the weights, scales.

Each file answers for the recorded test images. Real photographs and real convolutions alone say something:
with random weights no choice matters.

    .venv/bin/python bench/int8.py --project DIR --model models:/headstart/1
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pandas as pd
from machine import keep
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

from headstart.pipeline.evaluation.paired_difference import difference
from headstart.versions.export import calibration, images, int8, onnx_file
from headstart.versions.export.export import opened
from headstart.versions.export.program import program_of
from headstart.versions.registry import tracking
from headstart.versions.serving.predictor import Predictor

BATCH = 4  # images per pass: their activations are held while histograms are made
CONFIDENCE = 0.9
VARIANTS: dict[str, dict[str, Any]] = {
    "as exported": {},
    "weights of 8 bits": {"reduce_range": False},
    "one scale per layer": {"per_channel": False},
    "last layer in int8 too": {"nodes_to_exclude": []},
    "every kind of layer": {"nodes_to_exclude": [], "op_types_to_quantize": None},
    "percentile 99.999": {"calibrate_method": CalibrationMethod.Percentile},
    "percentile 99.99": {"calibrate_method": CalibrationMethod.Percentile, "percentile": 99.99},
    "entropy": {"calibrate_method": CalibrationMethod.Entropy},
}


class Images(NamedTuple):
    """Batches of pixels to calibrate on and to test with, and the recorded answers to the second."""

    training: list[np.ndarray]
    test: list[np.ndarray]
    recorded: pd.DataFrame


class Reader:
    """Batches for ONNX Runtime, which takes one at a time: histograms hold all that they are given."""

    def __init__(self, batches: list[np.ndarray]) -> None:
        self._batches = batches
        self._rest: Iterator[np.ndarray] = iter(batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._rest = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._rest, None)
        return None if batch is None else {"pixels": batch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--model", default="models:/headstart/1")
    parser.add_argument("--images", type=int, default=32, help="training images to calibrate on")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    out = chosen.out and chosen.out.absolute()
    os.chdir(chosen.project)
    with (
        tempfile.TemporaryDirectory() as folder,
        tracking.in_project(Path.cwd()),
        opened(chosen.model) as version,
    ):
        own = Path(folder)
        names, _ = calibration.draw(version.record, chosen.images, int8.METHOD)
        recorded = pd.read_parquet(version.record.predictions)
        training, test = (
            list(
                images.batches(
                    version.predictor, images.find(version.record, part, None, own / use, use), BATCH, use
                )
            )
            for use, part in (("training", names), ("test", list(recorded["path"])))
        )
        given = Images(training, test, recorded)
        whole, path = own / "fp32.onnx", own / "int8.onnx"
        onnx_file.write(program_of(version.predictor), version.description, whole)
        rows = [row_of("float32", whole, given, version.predictor)]
        for name, changes in VARIANTS.items():
            quantize(whole, given.training, path, **changes)
            rows.append(row_of(name, path, given, version.predictor))
    keep("int8", {"model": chosen.model, "calibration_images": len(names), "rows": rows}, out)


def quantize(
    whole: Path, batches: list[np.ndarray], path: Path, percentile: float = 99.999, **changes: Any
) -> None:
    """Quantize as `int8.quantize` does, but for some options."""
    graph = onnx.load(whole)
    graph.metadata_props.add(key=int8.PREPARED, value="onnxruntime.quant")
    options: dict[str, Any] = {
        "op_types_to_quantize": [*int8.LAYERS, *int8.BETWEEN],
        "nodes_to_exclude": [int8.last_layer(graph)],
        "per_channel": True,
        "reduce_range": True,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "extra_options": {"CalibStridedMinMax": 1, "CalibPercentile": percentile},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        quantize_static(graph, path, Reader(batches), **(options | changes))


def row_of(name: str, path: Path, given: Images, predictor: Predictor) -> dict[str, Any]:
    """The file's accuracy against the recorded answers, and its speed by processor time."""
    run, table = onnx_file.open_session(path), given.recorded
    run(given.test[0])
    start = time.process_time()
    found = np.concatenate([run(pixels) for pixels in given.test])
    seconds = time.process_time() - start
    labels = np.asarray(predictor.classes, dtype=object)[found.argmax(axis=1)]
    truth, was = table["label"].to_numpy(dtype=object), table["predicted"].to_numpy(dtype=object)
    change, interval = difference(labels == truth, was == truth, CONFIDENCE)
    gaps = np.abs(found - table[[f"probability:{each}" for each in predictor.classes]].to_numpy())
    row = {
        "variant": name,
        "mb": path.stat().st_size / 1e6,
        "accuracy": float((labels == truth).mean()),
        "change": change,
        "low": interval.low,
        "high": interval.high,
        "same_labels": float((labels == was).mean()),
        "mean_probability_gap": float(gaps.mean()),
        "probability_gap": float(gaps.max()),
        "images_per_cpu_s": len(table) / seconds,
    }
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
