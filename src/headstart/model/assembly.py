"""Put weights into a planned network: the prefix, a head to be trained, a head that was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.model import checkpoint
from headstart.model.heads import initial_tensors
from headstart.model.network import Chain, Network, NetworkSpec


def spec_of(metadata: Mapping[str, Any]) -> NetworkSpec:
    """The network that a features file or a head file was made for."""
    return NetworkSpec(
        arch=metadata["arch"],
        width=metadata["width"],
        head=metadata["head"],
        classes=tuple(metadata["classes"]),
    )


def frozen_prefix(network: Network, backbone: Path) -> Chain:
    """The layers before the cut with the backbone's weights; only those tensors are read."""
    prefix = network.prefix()
    prefix.load(checkpoint.load(backbone, list(prefix.tensors())))
    return prefix


def starting_head(network: Network, backbone: Path, seed: int) -> Chain:
    """The layers after the cut: new ones with starting weights, the others from the backbone."""
    new = [layer for layer in network.layers if layer.name in network.new]
    return _head(network, initial_tensors(new, seed), backbone)


def trained_head(network: Network, head: Path, backbone: Path) -> Chain:
    """The layers after the cut: trained ones from the head's file, the others from the backbone."""
    chain = _head(network, checkpoint.load(head, network.head_names()), backbone)
    return chain.eval().requires_grad_(False)


def _head(network: Network, own: Mapping[str, Any], backbone: Path) -> Chain:
    head = network.head()
    frozen = [name for name in head.tensors() if name not in own]
    pretrained = checkpoint.load(backbone, frozen) if frozen else {}
    head.load({**pretrained, **own})
    return head
