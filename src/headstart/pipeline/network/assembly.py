"""Put weights into the layers after the cut, before training and after it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from headstart.errors import BackboneError, ModelError
from headstart.pipeline.network import checkpoint, temperature
from headstart.pipeline.network.abstention import Abstention, read_abstention
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network
from headstart.pipeline.network.vgg import named_tensors
from headstart.pipeline.network.weights import initial_tensors


class Head(Chain):
    """The layers after the cut, and all that makes an answer of their logits.

    Attributes:
        temperature: of the probabilities.
        abstention: when it gives no label; None if it always answers.
    """

    temperature: float = 1.0
    abstention: Abstention | None = None

    def probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """Class probabilities of the inputs [N, ...]: float64 [N, C]."""
        return temperature.probabilities_of(self(x), self.temperature)


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


def frozen_tensors(
    backbone: Path, names: Sequence[str], recorded: Mapping[str, Any] | None = None
) -> dict[str, torch.Tensor]:
    """Load tensors of a backbone after checking that it is the recorded one.

    Args:
        backbone: its file, or a folder with one file per layer.
        recorded: metadata of the backbone that features or head were made with; by default that of the file.
            A head from before there were digests of layers has that of the whole backbone alone.

    Raises:
        ModelError: it is another backbone, or the values of a layer are not those of its digest.
    """
    if not names:
        return {}
    held = backbone if backbone.is_file() else backbone / f"{checkpoint.layer_of(names[0])}.safetensors"
    described = checkpoint.metadata(held)
    recorded = described if recorded is None else recorded
    found = described["digest"] if backbone.is_file() else described["backbone"]
    if found != recorded["digest"]:
        raise ModelError(
            f"{backbone} is backbone {found[:12]} ({described.get('source', 'from a server')}), but the "
            f"features and the head were made with backbone {recorded['digest'][:12]} "
            f"({recorded['source']}); use the files of one run: `dvc repro` makes them, `dvc checkout` "
            "restores them"
        )
    tensors = checkpoint.load(backbone, names)
    if "layers" in recorded:
        for layer, digest in checkpoint.layer_digests(tensors).items():
            if digest != (wanted := recorded["layers"].get(layer)):
                raise ModelError(
                    f"{layer} in {backbone} has digest {digest}, expected {wanted}: it was changed after it "
                    f"was written; {checkpoint.AGAIN}"
                )
    return tensors


def starting_head(
    network: Network, backbone: Path, seed: int, recorded: Mapping[str, Any] | None = None
) -> Head:
    """The layers after the cut: new ones with starting weights, the others from the backbone.

    Args:
        recorded: see `frozen_tensors`.
    """
    new = [layer for layer in network.layers if layer.is_new]
    return _head(network, initial_tensors(new, seed), backbone, recorded)


def trained_head(network: Network, head: Path, backbone: Path) -> Head:
    """The layers after the cut: new and trained ones from the head's file, the others from the backbone.

    Raises:
        ModelError: the values of the head are not those of its digest, it belongs to another backbone, or its
            temperature is not a positive number.
    """
    own = checkpoint.load_checked(head, network.head_names())
    chain = _head(network, own, backbone, checkpoint.metadata(head, checkpoint.HEAD)["backbone"])
    chain.abstention = read_abstention(own, str(head))
    if temperature.TENSOR in own:
        chain.temperature = float(own[temperature.TENSOR])
        if not 0 < chain.temperature < math.inf:
            raise ModelError(
                f"{temperature.TENSOR} in {head} is {chain.temperature}, expected a positive number; "
                f"{checkpoint.AGAIN}"
            )
    return chain.eval().requires_grad_(False)


def _head(
    network: Network, own: Mapping[str, torch.Tensor], backbone: Path, recorded: Mapping[str, Any] | None
) -> Head:
    head = Head(network.after)
    frozen = [name for name in head.tensors() if name not in own]
    pretrained = frozen_tensors(backbone, frozen, recorded)
    head.load({**pretrained, **own})
    head.to(memory_format=torch.channels_last)
    return head
