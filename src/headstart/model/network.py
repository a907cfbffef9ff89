"""The network that the parameters ask for: which layers are new, which are trained, where the cut is."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from headstart.errors import ModelError
from headstart.model.heads import with_head
from headstart.model.vgg import Layer, missing_and_unexpected, named_tensors, vgg_layers

INPUT_SHAPE = (3, 224, 224)


@dataclass(frozen=True)
class NetworkSpec:
    """All that says what the network is; it travels in the head's file.

    Attributes:
        arch: torchvision's name, `vgg16` or `vgg16_bn`.
        width: channels of the first convolution, 64 for torchvision's network.
        head: a name in `heads.HEADS`.
        classes: names of the outputs, in their order.
    """

    arch: str
    width: int
    head: str
    classes: tuple[str, ...]


class Chain(nn.Module):
    """Layers run one after the other, keeping torchvision's names for their tensors."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.layers = list(layers)
        self.body = nn.ModuleList(layer.module for layer in self.layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.body:
            x = module(x)
        return x

    def tensors(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers by torchvision's names."""
        return named_tensors(self.layers)

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take the values of all tensors from `tensors`, which may hold more.

        Raises:
            ModelError: one is missing or has another shape.
        """
        expected = self.tensors()
        found = {name: tensor for name, tensor in tensors.items() if name in expected}
        if wrong := missing_and_unexpected(expected, found):
            raise ModelError(f"the weights do not fit the network: {'; '.join(wrong[:5])}")
        for layer in self.layers:
            own = {name: found[f"{layer.name}.{name}"] for name in layer.module.state_dict()}
            layer.module.load_state_dict(own, assign=True)


@dataclass(frozen=True)
class Network:
    """A planned network on the meta device.

    Attributes:
        layers: all layers, in the order they run.
        trained: names of the layers whose gradients are on.
        new: names of the layers that the pretrained weights do not fill.
        cut: how many layers run before the cut.
    """

    layers: tuple[Layer, ...]
    trained: frozenset[str]
    new: frozenset[str]
    cut: int

    @property
    def cut_name(self) -> str:
        """The layer whose output is stored, or `input` where nothing is frozen."""
        return self.layers[self.cut - 1].name if self.cut else "input"

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one image's activations at the cut."""
        with torch.inference_mode():
            out = self.prefix()(torch.empty(1, *INPUT_SHAPE, device="meta"))
        return tuple(out.shape[1:])

    def prefix(self) -> Chain:
        """The frozen layers before the cut, in eval mode; modules of its own, to be filled."""
        return Chain(deepcopy(self.layers[: self.cut])).eval().requires_grad_(False)

    def head(self) -> Chain:
        """The layers after the cut, as `prefix`; `train_mode` sets which of them learn."""
        return Chain(deepcopy(self.layers[self.cut :]))

    def train_mode(self, head: Chain) -> Chain:
        """Gradients and train mode for trained layers; frozen layers stay in eval mode.

        Layers without parameters (a dropout, say) are in train mode: they belong to the trained part.
        """
        for layer in head.layers:
            frozen = layer.name not in self.trained and _has_state(layer)
            layer.module.train(not frozen)
            layer.module.requires_grad_(layer.name in self.trained)
        return head

    def head_names(self) -> list[str]:
        """Names of the tensors that belong to the head's file: those of new and trained layers."""
        kept = [layer for layer in self.layers if layer.name in self.trained | self.new]
        return list(named_tensors(kept))


def plan(spec: NetworkSpec) -> Network:
    """Build the network's structure and find its cut; no weights are touched.

    The cut is before the first layer that is trained or new; layers that behave otherwise in
    training than in evaluation (dropout) and stand right before it come after the cut.

    Raises:
        ModelError: a name that does not exist, or fewer than two classes.
    """
    if len(spec.classes) < 2:
        raise ModelError(f"a head needs at least two classes, found {list(spec.classes)}")
    layers, new = with_head(vgg_layers(spec.arch, spec.width), spec.head, len(spec.classes))
    trained = {layer.name for layer in layers if layer.name in new and _has_parameters(layer)}
    return Network(tuple(layers), frozenset(trained), frozenset(new), _cut(layers, trained, new))


def _cut(layers: list[Layer], trained: set[str], new: set[str]) -> int:
    cut = next(
        index
        for index, layer in enumerate(layers)
        if layer.name in trained or (layer.name in new and _has_state(layer))
    )
    while cut and isinstance(layers[cut - 1].module, nn.Dropout):
        cut -= 1
    return cut


def _has_parameters(layer: Layer) -> bool:
    return any(True for _ in layer.module.parameters())


def _has_state(layer: Layer) -> bool:
    return bool(layer.module.state_dict())
