"""Save and restore training state, so that a killed training resumes and ends with the same bits."""

import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.errors import ModelError
from headstart.ground import runtime
from headstart.pipeline.network import checkpoint

log = logging.getLogger(__name__)


class Checkpoint:
    """The state of an unfinished training in one safetensors file, replaced after each epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Write the state; if killed halfway, the previous one remains."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: t.detach().cpu() for name, t in tensors.items()}
        checkpoint.save(self._path, state, {"values": values, "crc32": _crc32(state)})

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The last saved state; None if there is none or it cannot be read."""
        if not self._path.exists():
            return None
        try:
            tensors, described = checkpoint.load(self._path), checkpoint.metadata(self._path)
            if described.get("crc32") != _crc32(tensors):
                raise ModelError(f"{self._path} is not what was written")
        except ModelError as error:
            log.warning("cannot resume; training starts from the first epoch: %s", error)
            return None
        values: dict[str, Any] = described["values"]
        return tensors, values

    def clear(self) -> None:
        """Remove the state of a finished training."""
        self._path.unlink(missing_ok=True)


def _crc32(tensors: Mapping[str, torch.Tensor]) -> int:
    """A checksum of the values: three times as fast as a digest, as this is done after each epoch."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data, found)
    return found


def pack(**groups: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Merge named groups of named tensors; `unpack` extracts one of them."""
    return {f"{group}/{name}": t.detach().clone() for group, own in groups.items() for name, t in own.items()}


def unpack(tensors: Mapping[str, torch.Tensor], group: str) -> dict[str, torch.Tensor]:
    """Extract one of the groups merged by `pack`."""
    start = f"{group}/"
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The tensors of an optimizer's state, by parameter and name."""
    return {
        f"{index}/{name}": value
        for index, own in optimizer.state_dict()["state"].items()
        for name, value in own.items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], groups: list[dict[str, Any]]
) -> None:
    """Restore an optimizer from `optimizer_tensors` and its `param_groups`."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def random_values(order: np.random.Generator) -> dict[str, Any]:
    """The state of the generator that shuffles the images, as JSON values."""
    return dict(order.bit_generator.state)


def restore_random(tensors: Mapping[str, torch.Tensor], order: np.random.Generator, values: Any) -> None:
    """Restore torch's random state and that of the generator that shuffles the images."""
    runtime.restore_random_state(unpack(tensors, "random"))
    order.bit_generator.state = values
