"""Put weights into the layers after the cut, before training and after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from headstart.errors import BackboneError
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.modules import Chain, head_of
from headstart.pipeline.network.network import Network
from headstart.pipeline.network.vgg import named_tensors
from headstart.pipeline.network.weights import initial_tensors


def check_backbone(network: Network, backbone: Mapping[str, Any]) -> None:
    """Check that a backbone has every layer that the network does not replace.

    Args:
        backbone: the metadata of its file.

    Raises:
        BackboneError: it lacks a tensor of a layer that is kept.
    """
    lacking: Mapping[str, str] = backbone.get("lacking", {})
    for layer in network.layers:
        if layer.is_new:
            continue
        for name in named_tensors([layer]):
            if name in lacking:
                raise BackboneError(
                    f"backbone.weights: {name} of {backbone['source']} {lacking[name]}, and model keeps "
                    f"{layer.name}: replace it (model.replace: {{{layer.name}: ...}}, or model.head: "
                    "pooled), or use weights that have it"
                )


def starting_head(network: Network, backbone: Path, seed: int) -> Chain:
    """The layers after the cut: new ones with starting weights, the others from the backbone."""
    new = [layer for layer in network.layers if layer.is_new]
    return _head(network, initial_tensors(new, seed), backbone)


def trained_head(network: Network, head: Path, backbone: Path) -> Chain:
    """The layers after the cut: new and trained ones from the head's file, the others from the backbone."""
    chain = _head(network, checkpoint.load(head, network.head_names()), backbone)
    return chain.eval().requires_grad_(False)


def _head(network: Network, own: Mapping[str, torch.Tensor], backbone: Path) -> Chain:
    head = head_of(network)
    frozen = [name for name in head.tensors() if name not in own]
    pretrained = checkpoint.load(backbone, frozen) if frozen else {}
    head.load({**pretrained, **own})
    head.to(memory_format=torch.channels_last)
    return head
