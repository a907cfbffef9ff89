"""A version as a `.pt2` file of torch.export, which torch loads without our code and without a pickle.

TorchScript was left aside: torch deprecates it, and its files hold pickles with paths of this machine.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

DESCRIPTION = "headstart.json"  # name of the extra file in the archive


def write(program: ExportedProgram, description: Mapping[str, str], path: Path) -> None:
    """Write a program and its description."""
    program._example_inputs = None  # torch would store them as a pickle
    parts = ", ".join(f'"{key}": {description[key]}' for key in sorted(description))
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={DESCRIPTION: f"{{{parts}}}"})


def open_program(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file as a function of pixels uint8 [N, H, W, 3]: probabilities [N, C]."""
    with path.open("rb") as file:
        network = torch.export.load(file).module()

    @torch.inference_mode()
    def answer(pixels: np.ndarray) -> np.ndarray:
        found: torch.Tensor = network(torch.from_numpy(pixels))
        return found.numpy()

    return answer
