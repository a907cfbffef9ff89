"""torchvision's VGGs as flat lists of named layers, and seeded random weights for them."""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from headstart.errors import ModelError

STANDARD_WIDTH = 64


@dataclass(frozen=True)
class Layer:
    """One layer, named as torchvision names it (`features.0`, `avgpool`, `classifier.6`)."""

    name: str
    module: nn.Module


# Channels of the convolutions in units of the first one's, and "M" for a pooling: configurations A, B,
# D and E of Simonyan and Zisserman 2015, arXiv:1409.1556. torchvision builds the same networks, but
# importing it takes 3.5 s, which train and evaluate do not need for anything else.
CONVOLUTIONS = {
    "vgg11": "1 M 2 M 4 4 M 8 8 M 8 8 M",
    "vgg13": "1 1 M 2 2 M 4 4 M 8 8 M 8 8 M",
    "vgg16": "1 1 M 2 2 M 4 4 4 M 8 8 8 M 8 8 8 M",
    "vgg19": "1 1 M 2 2 M 4 4 4 4 M 8 8 8 8 M 8 8 8 8 M",
}
BATCH_NORM = "_bn"
OUTPUTS = 1000


def architectures() -> tuple[str, ...]:
    """The VGGs that torchvision has, by its names."""
    return tuple(sorted([*CONVOLUTIONS, *(name + BATCH_NORM for name in CONVOLUTIONS)]))


def vgg_layers(arch: str, width: int = STANDARD_WIDTH) -> list[Layer]:
    """The layers of a VGG in the order they run, on the meta device: structure without numbers.

    Args:
        arch: a name in `architectures()`.
        width: channels of the first convolution; 64 is torchvision's network, less keeps every
            layer's name and divides every layer's width alike.

    Raises:
        ModelError: no such architecture, or a width that does not divide evenly.
    """
    if arch not in architectures():
        raise ModelError(
            f"backbone.arch: {arch!r} is not a VGG of torchvision; "
            f"expected one of {', '.join(architectures())}"
        )
    if width < 1 or STANDARD_WIDTH % width:
        raise ModelError(
            f"backbone.width: {width} does not divide {STANDARD_WIDTH}; "
            f"expected {STANDARD_WIDTH} (torchvision's network), or 32, 16, 8, 4, 2, 1"
        )
    with torch.device("meta"):
        return [
            *_numbered("features", _convolutions(arch, width)),
            Layer("avgpool", nn.AdaptiveAvgPool2d((7, 7))),
            Layer("flatten", nn.Flatten(1)),
            *_numbered("classifier", _classifier(width)),
        ]


def named_tensors(layers: list[Layer]) -> dict[str, torch.Tensor]:
    """Parameters and buffers by torchvision's names, in the order of `state_dict`."""
    return {
        f"{layer.name}.{name}": tensor
        for layer in layers
        for name, tensor in layer.module.state_dict().items()
    }


def random_tensors(layers: list[Layer], seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """He-uniform weights (He et al. 2015, arXiv:1502.01852), the same bytes on every machine.

    A numpy Generator's float32 draws times a constant, a stream a tensor: torch's own initialisers
    draw other bytes with other CPU kernels. Biases are 0; batch norms are the identity.
    """
    for name, tensor in named_tensors(layers).items():
        yield name, _random_tensor(name, tensor, seed)


def uniform(name: str, shape: torch.Size, bound: float, seed: int) -> torch.Tensor:
    """float32 draws from [-bound, bound), from a stream of their own for each name and seed."""
    stream = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    draws = stream.random(tuple(shape), dtype=np.float32)
    draws -= np.float32(0.5)
    draws *= np.float32(2 * bound)
    return torch.from_numpy(draws)


def _random_tensor(name: str, tensor: torch.Tensor, seed: int) -> torch.Tensor:
    if tensor.dim() > 1:
        fan_in = math.prod(tensor.shape[1:])
        return uniform(name, tensor.shape, math.sqrt(6 / fan_in), seed)
    if not tensor.is_floating_point():  # num_batches_tracked
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    is_scale = name.endswith(("running_var",)) or _is_norm_weight(name, tensor)
    return (torch.ones if is_scale else torch.zeros)(tensor.shape)


def _is_norm_weight(name: str, tensor: torch.Tensor) -> bool:
    return name.endswith(".weight") and tensor.dim() == 1


def missing_and_unexpected(
    expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]
) -> list[str]:
    """What keeps `found` from being the tensors of `expected`: one line a difference, at most a few."""
    lines = [f"{name} is missing" for name in expected if name not in found]
    lines += [f"{name} is not part of it" for name in found if name not in expected]
    lines += [
        f"{name} has shape {list(found[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return lines


def _convolutions(arch: str, width: int) -> list[nn.Module]:
    modules: list[nn.Module] = []
    inputs = 3
    for item in CONVOLUTIONS[arch.removesuffix(BATCH_NORM)].split():
        if item == "M":
            modules.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        outputs = int(item) * width
        modules.append(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))
        if arch.endswith(BATCH_NORM):
            modules.append(nn.BatchNorm2d(outputs))
        modules.append(nn.ReLU(inplace=True))
        inputs = outputs
    return modules


def _classifier(width: int) -> list[nn.Module]:
    hidden = 64 * width
    return [
        nn.Linear(8 * width * 7 * 7, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, OUTPUTS),
    ]


def _numbered(name: str, modules: list[nn.Module]) -> list[Layer]:
    return [Layer(f"{name}.{number}", module) for number, module in enumerate(modules)]
