"""Planned layers as torch modules, under torchvision's names."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from headstart.errors import ModelError
from headstart.pipeline.network import kinds
from headstart.pipeline.network.kinds import Kind
from headstart.pipeline.network.network import Network, PlannedLayer
from headstart.pipeline.network.vgg import Layer


class Standardize(nn.Module):
    """(x - mean) * scale per channel, both float32 [channels]; see `kinds.Standardize`."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) * self.scale


class Chain(nn.Module):
    """Layers run one after the other, keeping torchvision's names for their tensors.

    They are created on the meta device; `load` fills in their values.
    """

    def __init__(self, layers: Iterable[Layer], body: Iterable[nn.Module] | None = None) -> None:
        super().__init__()
        self.layers = list(layers)
        with torch.device("meta"):
            self.body = nn.ModuleList(body or [build(layer.kind) for layer in self.layers])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.body:
            x = module(x)
        return x

    def named(self) -> list[tuple[Layer, nn.Module]]:
        """Each layer with its module."""
        return list(zip(self.layers, self.body, strict=True))

    def part(self, start: int | None, stop: int | None) -> "Chain":
        """Some of the layers, sharing their modules."""
        return Chain(self.layers[start:stop], list(self.body)[start:stop])

    def tensors(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers by torchvision's names."""
        return {
            f"{layer.name}.{name}": tensor
            for layer, module in self.named()
            for name, tensor in module.state_dict().items()
        }

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the values of all tensors from `tensors`, which may hold others too.

        Raises:
            ModelError: one is missing or has another shape.
        """
        expected = self.tensors()
        found = {name: tensor for name, tensor in tensors.items() if name in expected}
        shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
        if wrong := differences(shapes, found):
            lines = [f"{name} {how}" for name, how in wrong.items()]
            raise ModelError(f"the weights do not fit the network: {'; '.join(lines[:5])}")
        for layer, module in self.named():
            own = {name: found[f"{layer.name}.{name}"] for name in module.state_dict()}
            module.load_state_dict(own, assign=True)


def build(kind: Kind) -> nn.Module:
    """The torch module of a layer, configured as in torchvision's VGG."""
    match kind:
        case kinds.Conv2d():
            return nn.Conv2d(kind.inputs, kind.outputs, kind.kernel, kind.stride, kind.padding)
        case kinds.BatchNorm2d():
            return nn.BatchNorm2d(kind.channels)
        case kinds.BatchNorm1d():
            return nn.BatchNorm1d(kind.channels)
        case kinds.ReLU():
            return nn.ReLU(inplace=True)
        case kinds.Identity():
            return nn.Identity()
        case kinds.Dropout():
            return nn.Dropout(kind.p)
        case kinds.MaxPool2d():
            return nn.MaxPool2d(kind.size, kind.size)
        case kinds.AdaptiveAvgPool2d():
            return nn.AdaptiveAvgPool2d((kind.size, kind.size))
        case kinds.Flatten():
            return nn.Flatten(1)
        case kinds.Standardize():
            return Standardize(kind.channels)
        case kinds.Linear():
            return nn.Linear(kind.inputs, kind.outputs)
    raise AssertionError(kind)


def prefix_of(network: Network) -> Chain:
    """The frozen layers before the cut, in eval mode, without values yet."""
    return Chain(network.before).eval().requires_grad_(False)


def head_of(network: Network) -> Chain:
    """The layers after the cut, without values yet; `train_mode` selects those that learn."""
    return Chain(network.after)


def train_mode(head: Chain) -> Chain:
    """Turn on gradients and train mode for trained layers; frozen layers stay in eval mode.

    Layers without tensors, such as dropout, are in train mode: they belong to the trained part.
    """
    for layer, module in head.named():
        assert isinstance(layer, PlannedLayer)
        module.train(layer.is_trained or not layer.has_state)
        module.requires_grad_(layer.is_trained)
    return head


def differences(expected: Mapping[str, Sequence[int]], found: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """How `found` differs from the expected names and shapes, by name."""
    missing = {name: "is missing" for name in expected if name not in found}
    extra = {name: "is not part of it" for name in found if name not in expected}
    other = {
        name: f"has shape {list(found[name].shape)}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != tuple(shape)
    }
    return missing | extra | other
