"""The heads that can take the place of torchvision's classifier, and how their weights start."""

import math
from collections.abc import Callable

import torch
from torch import nn

from headstart.errors import ModelError
from headstart.model.vgg import Layer, named_tensors, uniform


class Standardize(nn.Module):
    """(x - mean) * scale a channel; both are fitted on the training features, not learned."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) * self.scale


def linear_head(layers: list[Layer], classes: int) -> list[Layer]:
    """The origin article's head: `classifier.6` becomes a linear layer of `classes` outputs."""
    last = layers[-1]
    assert isinstance(last.module, nn.Linear)
    return [Layer(last.name, nn.Linear(last.module.in_features, classes))]


def pooled_head(layers: list[Layer], classes: int) -> list[Layer]:
    """A light head: each channel of the last convolutions averaged, standardised, one linear layer.

    512 numbers an image; it needs no pretrained classifier, so it is the one for random weights.
    """
    channels = next(
        layer.module.out_channels for layer in reversed(layers) if isinstance(layer.module, nn.Conv2d)
    )
    return [
        Layer("avgpool", nn.AdaptiveAvgPool2d(1)),
        Layer("flatten", nn.Flatten(1)),
        Layer("classifier.0", Standardize(channels)),
        Layer("classifier.1", nn.Linear(channels, classes)),
    ]


HEADS: dict[str, Callable[[list[Layer], int], list[Layer]]] = {
    "linear": linear_head,
    "pooled": pooled_head,
}


def with_head(layers: list[Layer], head: str, classes: int) -> tuple[list[Layer], set[str]]:
    """The network's layers with a head of `classes` outputs, and the names of the new layers.

    A head replaces everything from its first layer on.

    Raises:
        ModelError: no head of that name.
    """
    if head not in HEADS:
        raise ModelError(f"model.head: {head!r} is unknown; expected one of {', '.join(HEADS)}")
    with torch.device("meta"):
        new = HEADS[head](layers, classes)
    start = [layer.name for layer in layers].index(new[0].name)
    return layers[:start] + new, {layer.name for layer in new}


def initial_tensors(layers: list[Layer], seed: int) -> dict[str, torch.Tensor]:
    """Starting values of new layers: `nn.Linear`'s own bounds, drawn alike on every machine."""
    tensors: dict[str, torch.Tensor] = {}
    for layer in layers:
        if isinstance(layer.module, nn.Linear):
            bound = 1 / math.sqrt(layer.module.in_features)
            for name, tensor in named_tensors([layer]).items():
                tensors[name] = uniform(name, tensor.shape, bound, seed)
        elif isinstance(layer.module, Standardize):
            fresh = Standardize(layer.module.mean.numel())
            tensors.update(named_tensors([Layer(layer.name, fresh)]))
    return tensors
