"""Put weights into a planned network: the prefix, a head to be trained, a head that was."""

from collections.abc import Mapping
from pathlib import Path

import torch

from headstart.model import checkpoint
from headstart.model.modules import Chain, head_of, prefix_of
from headstart.model.network import Network
from headstart.model.weights import initial_tensors


def frozen_prefix(network: Network, backbone: Path) -> Chain:
    """The layers before the cut with the backbone's weights; only those tensors are read.

    A new layer there (a pooling, say) has no tensors.
    """
    prefix = prefix_of(network)
    prefix.load(checkpoint.load(backbone, list(prefix.tensors())))
    return prefix


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
