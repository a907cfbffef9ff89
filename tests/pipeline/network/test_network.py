"""The position of the cut, and the layers that learn."""

import json

import pytest
import torch
from torch import nn

from headstart.cli.description import as_text, describe
from headstart.errors import ModelError
from headstart.pipeline.network.modules import Chain, head_of, prefix_of, train_mode
from headstart.pipeline.network.network import NetworkSpec, plan, spec_of
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors


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
    with pytest.raises(ModelError, match=r"'mlpp' is unknown; expected one of linear, pooled, mlp"):
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


@pytest.mark.parametrize("arch", ["vgg11", "vgg16", "vgg16_bn"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": "pooled"},
        {"head": "mlp", "hidden": (32, 16), "dropout": 0.2},
        {"replace": {"classifier.0": {"linear": 100, "inputs": 1568}, "classifier.3": {"linear": 50}}},
        {"replace": {"features": [{"conv": 5, "kernel": 5, "stride": 4}, "batchnorm", "relu", {"maxpool": 2}],
                     "avgpool": {"avgpool": 2}, "classifier": ["batchnorm", "linear"]}},
        {"replace": {"classifier.2": {"dropout": 0.1}, "classifier.5": "identity"}},
    ],
)  # fmt: skip
def test_planned_shapes_and_counts_are_those_of_the_modules(arch: str, changes: dict[str, object]) -> None:
    network = plan(spec(arch=arch, **changes))
    x = torch.empty(2, 3, 224, 224, device="meta")
    for layer, module in Chain(network.layers).eval().named():
        assert x.shape == (2, *layer.given)
        x = module(x)
        assert x.shape == (2, *layer.output), layer.name
        assert layer.kind.parameters == sum(p.numel() for p in module.parameters())
        kinds = {name: tuple(t.shape) for name, t in module.state_dict().items()}
        assert {name: t.shape for name, t in layer.kind.tensors().items()} == kinds
    assert x.shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "cut", "trained"),
    [
        ({"head": "mlp", "hidden": (32,)}, "classifier.4", {"classifier.6.0", "classifier.6.3"}),
        ({"train": ("classifier",)}, "flatten", {"classifier.0", "classifier.3", "classifier.6"}),
        ({"train": ("classifier.3",)}, "classifier.1", {"classifier.3", "classifier.6"}),
        ({"train": ("features.2",)}, "features.1", {"features.2", "classifier.6"}),
        ({"train": ("features.28",)}, "features.27", {"features.28", "classifier.6"}),
        ({"train": ("features", "classifier")}, "input", None),
        ({"replace": {"classifier.2": {"dropout": 0.1}}}, "classifier.1", {"classifier.6"}),
        ({"replace": {"classifier.4": "identity"}}, "classifier.4", {"classifier.6"}),
        ({"replace": {"features.28": {"conv": 32}}}, "features.27", {"features.28", "classifier.6"}),
    ],
)
def test_the_cut_is_before_the_first_layer_that_learns(
    changes: dict[str, object], cut: str, trained: set[str] | None
) -> None:
    network = plan(spec(**changes))
    assert network.cut_name == cut
    learning = {layer.name for layer in network.layers if layer.is_trained}
    assert learning == (trained or {layer.name for layer in network.layers if layer.kind.parameters})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"replace": {"classifer.6": "linear"}},
            r"model.replace: .*'classifer.6'; did you mean classifier.6",
        ),
        (
            {"train": ("feature.28",)},
            r"model.train: there is no layer 'feature.28'; did you mean features.28",
        ),
        ({"train": ("features.29",)}, r"features.29 \(ReLU\) has no parameters to train"),
        ({"train": ("features.4",)}, r"features.4 \(MaxPool2d\(2\)\) has no parameters"),
        ({"replace": {"classifier.6": {"linear": 7}}}, r"7 outputs, expected 2, one per class \(a, b\)"),
        ({"replace": {"classifier.6": {"linear": 2, "inputs": 99}}}, r"it expects 99 numbers, got 256"),
        (
            {"replace": {"classifier.3": {"linear": 50}, "classifier.6": "identity"}},
            r"50 outputs, expected 2",
        ),
        (
            {"replace": {"classifier.0": {"linear": 50}}},
            r"classifier.3 does not fit.*expects 256 numbers, got 50",
        ),
        ({"replace": {"features.28": {"conv": 5}}}, r"classifier.0 does not fit the output of flatten"),
        (
            {"replace": {"flatten": "relu"}},
            r"classifier.0 does not fit the output of flatten: .*flatten them first",
        ),
        ({"replace": {"classifier.6": {"liner": 2}}}, r"'liner' is not a kind of layer; did you mean linear"),
        ({"replace": {"classifier.6": {"linear": 2, "input": 5}}}, r"no option 'input'; did you mean inputs"),
        ({"replace": {"classifier.6": {"linear": "two"}}}, r"whole number of at least 1 or `classes`"),
        ({"replace": {"classifier.5": {"dropout": 1.5}}}, r"share from 0 to less than 1, found 1.5"),
        ({"replace": {"classifier.6": []}}, r"the list is empty"),
        ({"replace": {"features.28": "conv"}}, r"needs its number of outputs"),
        ({"replace": {"classifier.6": 5}}, r"expected a kind of layer"),
        (
            {"replace": {"features.0": {"conv": 4, "kernel": 300, "padding": 0}}},
            r"maps of 224x224 are too small",
        ),
        ({"head": "mlp"}, r"model.hidden: the head mlp needs at least one width"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_where(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        plan(spec(**changes))


def test_a_spec_comes_back_from_its_json() -> None:
    first = spec(
        head="mlp", hidden=(8,), replace={"classifier.3": ["relu", {"linear": 9}]}, train=("classifier",)
    )
    assert spec_of(json.loads(json.dumps(first.to_dict()))) == first


def test_evaluation_takes_fewer_images_where_activations_are_large() -> None:
    assert plan(spec(width=64)).eval_batch == 256
    whole = plan(spec(width=64, train=("features", "classifier")))
    assert whole.eval_batch * 64 * 224 * 224 * 4 <= 2**26


def test_the_article_in_numbers() -> None:
    """torchvision documents 138,357,544 parameters; 15.48 G multiply-adds are 30.96 GFLOP."""
    layers = vgg_layers("vgg16")
    assert sum(layer.kind.parameters for layer in layers) == 138_357_544
    found = describe(spec(width=64), plan(spec(width=64)), 4)
    totals = found["totals"]
    assert totals["parameters_trained"] == 4096 * 2 + 2
    assert totals["parameters_frozen"] == 138_357_544 - 4096 * 1000 - 1000
    assert totals["feature_bytes"] == 4096 * 4
    assert totals["gflop_before_cut"] + totals["gflop_after_cut"] == pytest.approx(30.95, abs=0.02)
    text = as_text(found).splitlines()
    cut = next(index for index, line in enumerate(text) if "cut: 4096 numbers" in line)
    assert text[cut - 1].startswith("classifier.4 ")
    assert text[cut + 2].split() == ["classifier.6", "Linear(4096,", "2)", "2", "8,194", "trained,", "new"]
    everything = plan(spec(width=64, train=("features", "classifier")))
    assert describe(spec(width=64), everything, 4)["totals"]["feature_bytes"] == 0
