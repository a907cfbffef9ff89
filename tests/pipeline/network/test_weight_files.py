"""Files of weights as people have them: read if tensors are in them, refused in plain words otherwise."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from headstart.errors import BackboneError
from headstart.pipeline.network.assembly import check_backbone
from headstart.pipeline.network.backbone import backbone_metadata, load_backbone
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weight_files import read_weights
from headstart.pipeline.network.weights import random_tensors

Tensors = dict[str, torch.Tensor]


def weights(arch: str = "vgg16") -> Tensors:
    return dict(random_tensors(vgg_layers(arch, 4), 5))


def source(path: Path) -> Backbone:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Backbone(arch="vgg16", weights=str(path), sha256=sha256, seed=0, width=4)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda own: own,
        lambda own: {"state_dict": own, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
        lambda own: {"model_state_dict": own},
        lambda own: {"model": {"state_dict": own}},
        lambda own: {f"module.{name}": tensor for name, tensor in own.items()},
        lambda own: {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in own.items()}},
        lambda own: {name: tensor.half() for name, tensor in own.items()},
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.pth.tar", "w.bin", "w.pt", "w.ckpt"])
def test_wrapped_state_dicts_are_understood(
    tmp_path: Path, wrapped: Callable[[Tensors], object], name: str
) -> None:
    torch.save(wrapped(weights()), tmp_path / name)
    found = read_weights(tmp_path / name)
    assert set(found) == set(weights())
    assert all(torch.allclose(found[key], tensor, atol=1e-3) for key, tensor in weights().items())
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_values_that_are_not_finite_are_named(tmp_path: Path, value: float, name: str) -> None:
    own = weights()
    own["features.5.weight"][0, 0, 0, :2] = value
    path = tmp_path / name
    torch.save(own, path) if name.endswith("pth") else save_file(own, path)
    with pytest.raises(BackboneError, match=r"w\.\w+: 2 of \d+ values of features.5.weight are NaN or inf"):
        load_backbone(source(path))


class Whole(nn.Module):
    """A model of somebody's own code."""


@pytest.mark.parametrize("saved", [Whole(), nn.Linear(2, 2), {"model": Whole(), "epoch": 1}])
def test_a_pickled_model_is_refused_in_our_words(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "whole.pth")
    with pytest.raises(BackboneError, match="it holds a whole pickled model .*would run the code") as caught:
        load_backbone(source(tmp_path / "whole.pth"))
    assert "torch.save(model.state_dict(), path)" in str(caught.value)


@pytest.mark.parametrize("saved", [{}, {"epoch": 1}, torch.zeros(3), {"features.0.weight": [1.0]}])
def test_a_file_without_weights_is_named(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "other.pth")
    with pytest.raises(BackboneError, match="other.pth does not hold"):
        load_backbone(source(tmp_path / "other.pth"))


def other_outputs(own: Tensors) -> Tensors:
    return {**own, "classifier.6.weight": own["classifier.6.weight"][:7], "classifier.6.bias": torch.zeros(7)}


def convolutions(own: Tensors) -> Tensors:
    return {name: tensor for name, tensor in own.items() if name.startswith("features.")}


def own_head(own: Tensors) -> Tensors:
    kept = {name: tensor for name, tensor in own.items() if not name.startswith("classifier.6")}
    return {**kept, "classifier.6.0.weight": torch.zeros(5, 8)}


@pytest.mark.parametrize(
    ("changed", "head", "lacking"),
    [
        (other_outputs, "linear", None),
        (other_outputs, "pooled", None),
        (own_head, "linear", None),
        (convolutions, "pooled", None),
        (convolutions, "linear", "classifier.0.weight of w.pth .* is missing, and model keeps classifier.0"),
    ],
)
def test_a_file_serves_if_the_head_replaces_what_it_lacks(
    tmp_path: Path, changed: Callable[[Tensors], Tensors], head: str, lacking: str | None
) -> None:
    torch.save(changed(weights()), tmp_path / "w.pth")
    own = source(tmp_path / "w.pth")
    loaded = load_backbone(own)
    assert loaded.lacking
    network = plan(NetworkSpec("vgg16", 4, head, ("a", "b")))
    if lacking is None:
        check_backbone(network, backbone_metadata(own, loaded))
        return
    with pytest.raises(BackboneError, match=lacking):
        check_backbone(network, backbone_metadata(own, loaded))


def test_convolutions_must_be_complete(tmp_path: Path) -> None:
    own = weights()
    del own["features.28.weight"]
    torch.save(own, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match="features.28.weight is missing"):
        load_backbone(source(tmp_path / "w.pth"))


def test_a_complete_file_lacks_nothing_and_says_nothing_of_it(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "w.pth")
    own = source(tmp_path / "w.pth")
    loaded = load_backbone(own)
    assert not loaded.lacking
    assert "lacking" not in backbone_metadata(own, loaded)
