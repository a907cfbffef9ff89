"""An ONNX file in int8: ONNX Runtime's static quantization, calibrated on training images."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headstart.versions.export import onnx_file
from headstart.versions.export.description import INPUT

METHOD = "minmax"
BATCH = 8  # images per pass of the calibration
LAYERS = ("Conv", "Gemm", "MatMul")  # with weights
BETWEEN = ("Relu", "MaxPool")  # would otherwise go back to float32 between two layers in int8
PREPARED = "onnx.quant.pre_process"  # without it ONNX Runtime advises to fold layers, as the exporter did


class _Reader:
    """Batches of pixels as ONNX Runtime asks for them; one is held at a time."""

    def __init__(self, batches: Iterator[np.ndarray]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def quantize(source: Path, batches: Iterator[np.ndarray], description: Mapping[str, str], path: Path) -> None:
    """Write an ONNX file of float32 as one of int8, with scales per output channel of each layer.

    Weights have 7 bits: with 8 the sums of two products overflow in 16 bits on processors without VNNI, whose
    answers would then differ from those of others. The last layer stays in float32, as does all after it.
    Equal files, batches and libraries give equal bytes on one kind of machine, with any number of threads.

    Args:
        source: written by `onnx_file.write`.
        batches: pixels uint8 [n, H, W, 3], to measure the ranges of activations on.
        description: as `onnx_file.write` takes it.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

    graph = onnx.load(source)
    graph.metadata_props.add(key=PREPARED, value="onnxruntime.quant")
    with tempfile.TemporaryDirectory(prefix="headstart-int8-") as folder:
        made = Path(folder) / "model.onnx"
        quantize_static(
            graph,
            made,
            _Reader(batches),
            op_types_to_quantize=[*LAYERS, *BETWEEN],
            nodes_to_exclude=[last_layer(graph)],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        onnx_file.save(onnx.load(made), description, path)


def last_layer(graph: Any) -> str:
    """Name of the layer that makes the logits."""
    return str([node.name for node in graph.graph.node if node.op_type in LAYERS][-1])
