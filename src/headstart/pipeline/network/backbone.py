"""Load the frozen weights from torchvision, a file, or a seeded generator."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headstart.errors import BackboneError, ParamsError
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.kinds import TensorKind
from headstart.pipeline.network.modules import differences
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.network.vgg import STANDARD_WIDTH, architectures, named_tensors, vgg_layers
from headstart.pipeline.network.weight_files import (
    SUFFIXES,
    check_finite,
    is_weight_file,
    read_weights,
)
from headstart.pipeline.network.weights import random_tensors

RANDOM = "random"
REPLACEABLE = "classifier."  # a head replaces some of these layers, or all


@dataclass(frozen=True)
class LoadedBackbone:
    """The tensors of a network by torchvision's names, float32 on the CPU, and where they came from.

    Attributes:
        source: never contains a path on this machine.
        lacking: tensors of the classifier that are not among `tensors`, with the reason: a head that keeps
            their layers cannot be trained.
    """

    tensors: dict[str, torch.Tensor]
    source: str
    lacking: Mapping[str, str]


def load_backbone(source: Backbone) -> LoadedBackbone:
    """Load exactly the weights that the parameters ask for.

    Raises:
        BackboneError: the weights cannot be fetched, are damaged or not finite, or have another digest or
            architecture; only tensors of the classifier may be missing.
        ParamsError: the keys contradict each other.
    """
    layers = vgg_layers(source.arch, source.width)
    if source.weights == RANDOM:
        return LoadedBackbone(dict(random_tensors(layers, source.seed)), f"random (seed {source.seed})", {})
    if source.weights in _known_weights(source.arch):
        tensors, origin = _from_torchvision(source)
    else:
        tensors, origin = _from_file(source)
    expected = named_tensors(layers)
    for name, tensor in expected.items():
        if tensor.is_count:  # files older than PyTorch 0.4.1 do not count batches
            tensors.setdefault(name, torch.zeros(tensor.shape, dtype=torch.int64))
    lacking = _lacking(_shapes(expected), tensors, source)
    kept = {name: tensors[name] for name in expected if name not in lacking}
    return LoadedBackbone(kept, origin, lacking)


def _known_weights(arch: str) -> Mapping[str, Any]:
    from torchvision.models import get_model_weights  # takes 3.5 s; random weights do not need it

    return dict(get_model_weights(arch).__members__)


def _from_torchvision(source: Backbone) -> tuple[dict[str, torch.Tensor], str]:
    if source.width != STANDARD_WIDTH:
        raise ParamsError(
            f"backbone.width: {source.width} has no pretrained weights; expected {STANDARD_WIDTH}"
        )
    weights = _known_weights(source.arch)[source.weights]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    try:
        tensors = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # urllib, sockets, zip and hash errors all mean the same to a user
        raise BackboneError(
            f"backbone.weights: cannot get {source.weights} of {source.arch}: {error}. Download "
            f"{weights.url} on a machine with network access and put it at {cached}; or name the file in "
            "`backbone.weights` with its `backbone.sha256`; or set `weights: random` to try the pipeline"
        ) from error
    if source.sha256 is not None:
        _check_sha256(cached, source.sha256)
    check_finite(tensors, str(cached))
    return dict(tensors), source.weights + _doubt(cached)


def _doubt(cached: Path) -> str:
    """Check the cached file, because torchvision checks only what it downloads."""
    named = cached.stem.rsplit("-", 1)[-1]
    found = _sha256(cached)
    if found.startswith(named):
        return ""
    return f", by its name only: the cached file has sha256 {found[:8]}, not {named}"


def _from_file(source: Backbone) -> tuple[dict[str, torch.Tensor], str]:
    path = Path(source.weights)
    if not is_weight_file(source.weights):
        names = ", ".join(_known_weights(source.arch))
        raise ParamsError(
            f"backbone.weights: {source.weights!r} is neither {RANDOM!r}, nor weights of "
            f"{source.arch} that torchvision knows ({names}), nor a file of weights ({', '.join(SUFFIXES)})"
        )
    if not path.is_file():
        raise BackboneError(
            f"backbone.weights: there is no file {source.weights}; put it there, or correct the path"
        )
    _check_sha256(path, source.sha256)
    try:
        tensors = read_weights(path)
    except BackboneError as error:
        raise BackboneError(f"backbone.weights: {error}") from error
    return tensors, f"{path.name} (sha256 {str(source.sha256)[:12]})"


def _check_sha256(path: Path, expected: str | None) -> None:
    found = _sha256(path)
    if expected is None:
        raise ParamsError(
            f"backbone.sha256: required for the file {path}, so that a run can be reproduced; "
            f"if you trust the file, set it to {found}"
        )
    if found != expected.lower():
        raise BackboneError(f"backbone.sha256: {path} has {found}, expected {expected}; fetch it again")


def _lacking(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, torch.Tensor], source: Backbone
) -> dict[str, str]:
    """Tensors of the classifier that the file has not or has for other numbers, with the reason.

    A head may replace them. Everything else must fit.

    Raises:
        BackboneError: other tensors do not fit, or the file holds those of another network.
    """
    unlike = differences(expected, found)
    wrong = [f"{name} {how}" for name, how in unlike.items() if not name.startswith(REPLACEABLE)]
    if wrong:
        fits = [
            arch
            for arch in architectures()
            if not differences(_shapes(named_tensors(vgg_layers(arch, source.width))), found)
        ]
        advice = f"they fit {fits[0]}: set `arch: {fits[0]}`" if fits else "no VGG of torchvision fits"
        raise BackboneError(
            f"backbone.weights: {source.weights} does not hold the weights of {source.arch} "
            f"({'; '.join(wrong[:3])}{f'; and {len(wrong) - 3} more' if len(wrong) > 3 else ''}); {advice}"
        )
    return {name: unlike[name] for name in expected if name in unlike}


def _shapes(tensors: Mapping[str, TensorKind]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def backbone_metadata(source: Backbone, backbone: LoadedBackbone) -> dict[str, object]:
    """The metadata of the backbone's file: architecture, source, digests, and the tensors it lacks.

    `digest` identifies the whole backbone; `layers` has the digest of each layer, because users of the file
    load only some of them.
    """
    lacking = {"lacking": dict(backbone.lacking)} if backbone.lacking else {}
    return {
        **lacking,
        "arch": source.arch,
        "width": source.width,
        "source": backbone.source,
        "random": source.weights == RANDOM,
        "digest": checkpoint.digest(backbone.tensors),
        "layers": checkpoint.layer_digests(backbone.tensors),
    }
