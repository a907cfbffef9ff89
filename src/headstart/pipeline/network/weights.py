"""Starting values of layers: seeded, and the same bytes on every machine."""

import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from headstart.pipeline.network import kinds
from headstart.pipeline.network.kinds import TensorKind
from headstart.pipeline.network.vgg import Layer, named_tensors


def random_tensors(layers: list[Layer], seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """He-uniform weights (He et al. 2015, arXiv:1502.01852) for an untrained network.

    They are float32 draws of a numpy Generator times a constant, with one stream per tensor: torch's own
    initialisers draw different bytes on different CPU kernels. Biases are 0; batch norms are the identity.
    """
    for name, tensor in named_tensors(layers).items():
        if len(tensor.shape) > 1:
            fan_in = math.prod(tensor.shape[1:])
            yield name, uniform(name, tensor.shape, math.sqrt(6 / fan_in), seed)
        else:
            yield name, _identity(name, tensor)


def initial_tensors(layers: Sequence[Layer], seed: int) -> dict[str, torch.Tensor]:
    """Starting values of new layers: the bounds of `nn.Linear` and `nn.Conv2d`; norms are the identity."""
    tensors: dict[str, torch.Tensor] = {}
    for layer in layers:
        own = named_tensors([layer])
        if isinstance(layer.kind, kinds.Linear | kinds.Conv2d):
            fan_in = math.prod(layer.kind.tensors()["weight"].shape[1:])
            bound = 1 / math.sqrt(fan_in)
            tensors |= {name: uniform(name, tensor.shape, bound, seed) for name, tensor in own.items()}
        else:
            tensors |= {name: _identity(name, tensor) for name, tensor in own.items()}
    return tensors


def uniform(name: str, shape: tuple[int, ...], bound: float, seed: int) -> torch.Tensor:
    """Float32 draws from [-bound, bound), with a separate stream for each name and seed."""
    stream = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    draws = stream.random(shape, dtype=np.float32)
    draws -= np.float32(0.5)
    draws *= np.float32(2 * bound)
    return torch.from_numpy(draws)


def _identity(name: str, tensor: TensorKind) -> torch.Tensor:
    """Values that leave their input unchanged: scales of 1, shifts of 0."""
    if tensor.is_count:
        return torch.zeros(tensor.shape, dtype=torch.int64)
    is_scale = name.endswith((".weight", ".running_var", ".scale"))
    return (torch.ones if is_scale else torch.zeros)(tensor.shape)
