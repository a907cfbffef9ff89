"""Training further from an earlier head."""

from pathlib import Path

import pytest
import torch

from headstart.errors import BackboneError, ModelError
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.modules import Chain, head_of
from headstart.pipeline.network.network import Network, NetworkSpec, plan
from headstart.pipeline.network.weights import initial_tensors
from headstart.pipeline.training.initial import Start, read_initial, start_from

BACKBONE = {"digest": "b" * 64, "source": "a test"}


def spec(classes: tuple[str, ...] = ("a", "b"), head: str = "mlp", **changes: object) -> NetworkSpec:
    return NetworkSpec("vgg16", 4, head, classes, (8,), **changes)


def new_head(network: Network) -> Chain:
    head = head_of(network)
    head.load(initial_tensors(network.layers, 0))
    return head


def begin(
    earlier: NetworkSpec, now: NetworkSpec, backbone: str = "b" * 64
) -> tuple[Start, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The start's report, the head's tensors after it, and the earlier head's tensors (7, 8, 9, ...)."""
    names = plan(earlier).head_names()
    shapes = {n: t.shape for n, t in head_of(plan(earlier)).tensors().items()}
    tensors = {name: torch.arange(float(shapes[name].numel())).reshape(shapes[name]) + 7 for name in names}
    head = new_head(plan(now))
    metadata = {**earlier.to_dict(), "backbone": BACKBONE}
    return start_from(head, plan(now), now, backbone, tensors, metadata), head.tensors(), tensors


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_earlier_head_that_diverged_is_refused(tmp_path: Path, value: float) -> None:
    tensors = {"classifier.6.weight": torch.tensor([1.0, value])}
    checkpoint.save(tmp_path / "init.safetensors", tensors, {})
    with pytest.raises(BackboneError, match="init.safetensors: 1 of 2 values of classifier.6.weight are NaN"):
        read_initial(tmp_path / "init.safetensors", checkpoint.digest(tensors))


def test_the_same_head_goes_on_where_it_was() -> None:
    start, now, earlier = begin(spec(), spec())
    assert start.new == ()
    assert all(torch.equal(now[name], tensor) for name, tensor in earlier.items())
    assert "started from classifier.6.0, classifier.6.3" in start.sentence()


def test_a_class_added_keeps_the_rows_of_the_others() -> None:
    start, now, earlier = begin(spec(("a", "c")), spec(("a", "b", "c")))
    weight, old = now["classifier.6.3.weight"], earlier["classifier.6.3.weight"]
    assert torch.equal(weight[[0, 2]], old)
    fresh = initial_tensors(plan(spec(("a", "b", "c"))).layers, 0)["classifier.6.3.weight"]
    assert torch.equal(weight[1], fresh[1])
    assert start.new == ("class b",)
    assert start.sentence().endswith("new: class b")


def test_classes_in_another_order_are_matched_by_name() -> None:
    _, now, earlier = begin(spec(("z", "b")), spec(("b", "z")))
    assert torch.equal(now["classifier.6.3.bias"], earlier["classifier.6.3.bias"].flip(0))


def test_standardisation_is_kept_where_the_head_has_it() -> None:
    start, now, earlier = begin(spec(head="pooled"), spec(head="pooled"))
    assert not start.fits_standardize
    assert torch.equal(now["classifier.0.mean"], earlier["classifier.0.mean"])


def test_a_layer_of_another_shape_is_new() -> None:
    other = NetworkSpec("vgg16", 4, "mlp", ("a", "b"), (8, 5))
    start, _, _ = begin(spec(), other)
    assert start.matched == ("classifier.6.0",)
    assert set(start.new) == {"classifier.6.3", "classifier.6.6"}


def test_what_was_trained_before_must_be_trained_now() -> None:
    with pytest.raises(ModelError, match=r"changed classifier.3, which is frozen here; add 'classifier.3'"):
        begin(spec(train=("classifier.3",)), spec())
    start, _, _ = begin(spec(train=("classifier.3",)), spec(train=("classifier",)))
    assert "classifier.0" in start.new
    assert "classifier.3" in start.matched


def test_another_backbone_or_another_head_is_an_error() -> None:
    with pytest.raises(ModelError, match="was trained on backbone bbbb"):
        begin(spec(), spec(), backbone="c" * 64)
    with pytest.raises(ModelError, match="use the same model.head"):
        begin(spec(("x", "y")), spec(("a", "b"), head="linear"))


def test_the_file_must_be_the_one_that_params_name(tmp_path: Path) -> None:
    path = tmp_path / "init.safetensors"
    with pytest.raises(ModelError, match=r"dvc pull .*init.safetensors.dvc"):
        read_initial(path, "0" * 64)
    checkpoint.save(path, {"x": torch.ones(2)}, {"head": "linear"})
    with pytest.raises(ModelError, match="expected 0000"):
        read_initial(path, "0" * 64)
    tensors, metadata = read_initial(path, checkpoint.digest({"x": torch.ones(2)}))
    assert tensors["x"].tolist() == [1, 1]
    assert metadata == {"head": "linear"}
