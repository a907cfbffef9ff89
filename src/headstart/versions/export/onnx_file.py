"""A version as an ONNX file, and its answers by ONNX Runtime. Needs the extra `onnx`."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from headstart.errors import HeadstartError
from headstart.versions.export.description import INPUT, OUTPUT

NEEDED = ("onnx", "onnxruntime", "onnxscript")
BATCH = "N"


def check_installed() -> None:
    """Check that the libraries are there, before any work.

    Raises:
        HeadstartError: one is missing.
    """
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise HeadstartError(
            f"--format onnx needs {', '.join(lacking)}, not installed here: pip install 'headstart[onnx]'"
        )


def write(program: ExportedProgram, description: Mapping[str, str], path: Path) -> None:
    """Write a program as one ONNX file with a variable number of images.

    Equal programs and descriptions give equal bytes: what the exporter notes about its own work is left out.
    """
    with _quiet():
        made = torch.onnx.export(
            program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
    assert made is not None
    save(made.model_proto, description, path)


def save(graph: Any, description: Mapping[str, str], path: Path) -> None:
    """Write a graph with its description, without the notes of the program that made it."""
    _forget_notes(graph)
    graph.producer_name, graph.producer_version = "headstart", ""
    for key in sorted(description):
        graph.metadata_props.add(key=key, value=description[key])
    path.write_bytes(graph.SerializeToString(deterministic=True))


def open_session(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file as a function of pixels uint8 [N, H, W, 3], run by ONNX Runtime: probabilities [N, C]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may need the processor
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def answer(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], {INPUT: pixels})[0])

    return answer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its advice to developers off the terminal."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _forget_notes(model: Any) -> None:
    """Remove the exporter's notes, and call the number of images N."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
