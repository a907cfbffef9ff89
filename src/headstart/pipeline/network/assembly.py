"""Put weights into the layers after the cut, before training and after it."""

from collections.abc import Mapping
from pathlib import Path

import torch

from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.modules import Chain, head_of
from headstart.pipeline.network.network import Network
from headstart.pipeline.network.weights import initial_tensors


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
