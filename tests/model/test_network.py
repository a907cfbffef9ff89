"""Where the cut falls, and what learns."""

import pytest
import torch
from torch import nn

from headstart.errors import ModelError
from headstart.model.modules import head_of, prefix_of, train_mode
from headstart.model.network import NetworkSpec, plan
from headstart.model.vgg import vgg_layers
from headstart.model.weights import random_tensors


def spec(**changes: object) -> NetworkSpec:
    return NetworkSpec(**{"arch": "vgg16", "width": 4, "head": "linear", "classes": ("a", "b"), **changes})


def test_the_articles_head_is_cut_before_its_dropout() -> None:
    network = plan(spec(width=64))
    assert network.cut_name == "classifier.4"
    assert network.feature_shape == (4096,)
    assert [layer.name for layer in network.layers[network.cut :]] == ["classifier.5", "classifier.6"]
    assert {layer.name for layer in network.layers if layer.is_trained} == {"classifier.6"}
    assert network.head_names() == ["classifier.6.weight", "classifier.6.bias"]


def test_the_pooled_head_is_cut_after_pooling() -> None:
    network = plan(spec(width=64, head="pooled"))
    assert network.cut_name == "flatten"
    assert network.feature_shape == (512,)
    assert {layer.name for layer in network.layers if layer.is_trained} == {"classifier.1"}
    assert set(network.head_names()) == {
        "classifier.0.mean",
        "classifier.0.scale",
        "classifier.1.weight",
        "classifier.1.bias",
    }


@pytest.mark.parametrize("classes", [2, 3, 17])
@pytest.mark.parametrize("head", ["linear", "pooled"])
@pytest.mark.parametrize("arch", ["vgg16", "vgg16_bn"])
def test_any_number_of_classes(classes: int, head: str, arch: str) -> None:
    network = plan(spec(arch=arch, head=head, classes=tuple(map(str, range(classes)))))
    out = head_of(network).eval()(torch.empty(5, *network.feature_shape, device="meta"))
    assert out.shape == (5, classes)


def test_dropout_learns_and_frozen_layers_stay_in_eval_mode() -> None:
    network = plan(spec(arch="vgg16_bn"))
    head = train_mode(head_of(network))
    assert [module.training for module in head.body] == [True, True]
    prefix = prefix_of(network)
    assert not any(module.training for module in prefix.modules())
    assert not any(parameter.requires_grad for parameter in prefix.parameters())
    assert any(isinstance(module, nn.BatchNorm2d) for module in prefix.modules())


def test_an_unknown_head_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'mlpp' is unknown; expected one of linear, pooled"):
        plan(spec(head="mlpp"))


def test_one_class_is_an_error() -> None:
    with pytest.raises(ModelError, match="at least two classes"):
        plan(spec(classes=("a",)))


def test_weights_of_another_shape_are_an_error() -> None:
    network = plan(spec())
    wrong = {name: torch.zeros(3) for name in prefix_of(network).tensors()}
    with pytest.raises(ModelError, match=r"features\.0\.weight has shape \[3\]"):
        prefix_of(network).load(wrong)


def test_filling_the_prefix_leaves_the_plan_as_it_is() -> None:
    network = plan(spec())
    prefix = prefix_of(network)
    prefix.load(dict(random_tensors(vgg_layers("vgg16", 4), 0)))
    assert network.feature_shape == (256,)
    assert all(tensor.is_meta for tensor in prefix_of(network).tensors().values())
