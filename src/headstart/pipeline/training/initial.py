"""Start from an earlier head: its tensors become starting values, matched by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headstart.errors import ModelError
from headstart.pipeline.network import abstention, checkpoint, temperature
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network, NetworkSpec, is_within, plan, spec_of
from headstart.pipeline.network.weight_files import check_finite


@dataclass(frozen=True)
class Start:
    """Starting values taken from an earlier head.

    Attributes:
        matched: layers that start from its values.
        new: descriptions of the layers, or rows of the class layer, that start from new values.
        fits_standardize: no `Standardize` layer was matched, so it must be fitted.
    """

    matched: tuple[str, ...]
    new: tuple[str, ...]
    fits_standardize: bool

    def sentence(self) -> str:
        """A clause for the stage's summary."""
        new = f"; new: {', '.join(self.new)}" if self.new else ""
        return f"started from {', '.join(self.matched) or 'no layer'} of the earlier head{new}"


def read_initial(path: Path, digest: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and metadata of the file that `headstart init-from` wrote.

    Raises:
        ModelError: the file is missing, or its digest is not the one in params.yaml.
        BackboneError: a value is NaN or infinite.
    """
    if not path.exists():
        raise ModelError(
            f"train.init: there is no {path}; fetch it with `dvc pull {path}.dvc`, write it with "
            "`headstart init-from`, or set `init: null` to start from scratch"
        )
    tensors = checkpoint.load(path)
    if (found := checkpoint.digest(tensors)) != digest:
        raise ModelError(
            f"train.init: {path} has digest {found}, expected {digest}; run `dvc checkout {path}.dvc`, "
            "or `headstart init-from` again"
        )
    check_finite(tensors, f"train.init: {path}")
    for name in (temperature.TENSOR, abstention.CONFIDENCE, abstention.RATE):
        tensors.pop(name, None)  # they hold for the earlier head alone
    return tensors, checkpoint.metadata(path)


@torch.no_grad()
def start_from(
    head: Chain,
    network: Network,
    spec: NetworkSpec,
    backbone_digest: str,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any],
) -> Start:
    """Copy the tensors of all layers that both heads have; rows of the class layer are matched by class.

    Raises:
        ModelError: the earlier head was trained on another backbone, changed a layer that is frozen now,
            or has no layer in common with this one.
    """
    earlier = spec_of(metadata)
    if network.cut and metadata["backbone"]["digest"] != backbone_digest:
        raise ModelError(
            f"train.init: the earlier head was trained on backbone {metadata['backbone']['digest'][:12]} "
            f"({metadata['backbone']['source']}), this one is {backbone_digest[:12]}; use the same backbone"
        )
    names = set(network.head_names())
    layers = {name.rsplit(".", 1)[0] for name in tensors}
    frozen = [layer.name for layer in network.layers if layer.name in layers and not _learns(layer, names)]
    if frozen:
        raise ModelError(
            f"train.init: the earlier head changed {frozen[0]}, which is frozen here; add {frozen[0]!r} to "
            "model.train, so that its values are used"
        )
    current = head.tensors()
    class_layer, earlier_class_layer = network.class_layer, plan(earlier).class_layer
    matched: list[str] = []
    new: list[str] = []
    for layer in network.layers:
        own = [name for name in current if name in names and is_within(name, layer.name)]
        if not own:
            continue
        if layer.name == class_layer == earlier_class_layer:
            if _match_classes(own, current, tensors, spec.classes, earlier.classes):
                matched.append(layer.name)
                new += [f"class {name}" for name in spec.classes if name not in earlier.classes]
                continue
        elif all(name in tensors and tensors[name].shape == current[name].shape for name in own):
            for name in own:
                current[name].copy_(tensors[name])
            matched.append(layer.name)
            continue
        new.append(layer.name)
    if not matched:
        raise ModelError(
            f"train.init: no layer of the earlier head ({', '.join(sorted(layers))}) fits this one "
            f"({', '.join(sorted({name.rsplit('.', 1)[0] for name in names}))}); use the same model.head"
        )
    fitted = [layer.name for layer in network.layers if "mean" in layer.kind.tensors()]
    return Start(tuple(matched), tuple(new), not any(name in matched for name in fitted))


def _learns(layer: Any, names: set[str]) -> bool:
    return any(is_within(name, layer.name) for name in names)


def _match_classes(
    own: Sequence[str],
    current: Mapping[str, torch.Tensor],
    tensors: Mapping[str, torch.Tensor],
    classes: Sequence[str],
    earlier: Sequence[str],
) -> bool:
    """Copy the rows of the classes that both have; False if there are none or their shapes differ."""
    if any(name not in tensors or tensors[name].shape[1:] != current[name].shape[1:] for name in own):
        return False
    common = [name for name in classes if name in earlier]
    for name in own:
        for label in common:
            current[name][classes.index(label)] = tensors[name][earlier.index(label)]
    return bool(common)
