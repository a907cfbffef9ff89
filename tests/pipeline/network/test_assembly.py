"""A network is put together only from the files that belong together, with the values that were written."""

from pathlib import Path

import pytest
import torch
from problems import backbone_file, head_file
from sections import section

from headstart.errors import ModelError
from headstart.pipeline.features.feature_file import features_metadata
from headstart.pipeline.features.frozen import frozen_prefix
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import trained_head
from headstart.pipeline.network.backbone import backbone_metadata, load_backbone
from headstart.pipeline.network.modules import prefix_of
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.weights import initial_tensors
from headstart.versions.serving.predictor import Predictor

SPEC = NetworkSpec("vgg16", 4, "pooled", ("a", "b"))


def write(folder: Path, spec: NetworkSpec = SPEC) -> tuple[Path, Path]:
    """A backbone and a head that belong together."""
    backbone = backbone_file(folder)
    network = plan(spec)
    tensors = initial_tensors([layer for layer in network.layers if layer.is_new], 0)
    own = {name: tensors[name] for name in network.head_names()}
    return head_file(folder / "head.safetensors", own, spec, backbone), backbone


def change(path: Path, name: str) -> None:
    """Multiply a tensor by -3 and leave the metadata as it is."""
    tensors = checkpoint.load(path)
    tensors[name] = tensors[name] * -3
    checkpoint.save(path, tensors, checkpoint.metadata(path))


def test_files_that_belong_together_are_loaded(tmp_path: Path) -> None:
    predictor = Predictor.load(*write(tmp_path))
    assert predictor.classes == ("a", "b")


def test_a_head_with_other_values_than_its_digest_is_refused(tmp_path: Path) -> None:
    head, backbone = write(tmp_path)
    change(head, checkpoint.load(head).popitem()[0])
    with pytest.raises(ModelError, match=r"head\.safetensors have digest \w{64}, but its metadata records"):
        Predictor.load(head, backbone)
    with pytest.raises(ModelError, match="changed after it was written"):
        trained_head(plan(SPEC), head, backbone)


def test_the_backbone_of_another_seed_is_refused_and_both_are_named(tmp_path: Path) -> None:
    head, backbone = write(tmp_path)
    mine = checkpoint.metadata(backbone)["digest"][:12]
    other = section("backbone", width=4, seed=1)
    loaded = load_backbone(other)
    checkpoint.save(backbone, loaded.tensors, backbone_metadata(other, loaded))
    theirs = checkpoint.metadata(backbone)["digest"][:12]
    with pytest.raises(ModelError, match=rf"{theirs} \(random \(seed 1\)\).*{mine} \(random \(seed 0\)\)"):
        Predictor.load(head, backbone)


def test_a_changed_layer_of_a_backbone_is_refused_if_the_network_runs_it(tmp_path: Path) -> None:
    head, backbone = write(tmp_path)
    change(backbone, "classifier.0.weight")  # the head replaces it
    Predictor.load(head, backbone)
    change(backbone, "features.5.weight")
    with pytest.raises(ModelError, match=r"features\.5 in .*backbone\.safetensors has digest"):
        Predictor.load(head, backbone)
    with pytest.raises(ModelError, match=r"features\.5 in"):
        frozen_prefix(plan(SPEC), backbone)


def test_a_frozen_layer_after_the_cut_is_checked_too(tmp_path: Path) -> None:
    spec = NetworkSpec("vgg16", 4, "linear", ("a", "b"), train=("classifier.0",))
    backbone = backbone_file(tmp_path)
    tensors = checkpoint.load(backbone, ["classifier.0.weight", "classifier.0.bias"])
    tensors |= initial_tensors([layer for layer in plan(spec).layers if layer.is_new], 0)
    head = head_file(tmp_path / "head", tensors, spec, backbone)
    trained_head(plan(spec), head, backbone)
    change(backbone, "classifier.3.bias")
    with pytest.raises(ModelError, match=r"classifier\.3 in"):
        trained_head(plan(spec), head, backbone)


def test_part_of_a_backbone_is_checked_by_what_the_head_records(tmp_path: Path) -> None:
    """A full package holds only the layers that it runs, under the metadata of the whole backbone."""
    head, backbone = write(tmp_path)
    names = list(prefix_of(plan(SPEC)).tensors())
    checkpoint.save(backbone, checkpoint.load(backbone, names), checkpoint.metadata(backbone))
    Predictor.load(head, backbone)
    change(backbone, "features.0.bias")
    checkpoint.save(
        backbone,
        {**checkpoint.load(backbone), "features.0.bias": torch.ones(4)},
        {**checkpoint.metadata(backbone), "layers": {}},
    )
    with pytest.raises(ModelError, match=r"features\.0 in"):
        Predictor.load(head, backbone)


def test_a_head_from_before_layers_had_digests_is_loaded_by_that_of_the_backbone(tmp_path: Path) -> None:
    head, backbone = write(tmp_path)
    described = checkpoint.metadata(head)
    del described["backbone"]["layers"]
    checkpoint.save(head, checkpoint.load(head), described)
    Predictor.load(head, backbone)
    described["backbone"]["digest"] = "f" * 64
    checkpoint.save(head, checkpoint.load(head), described)
    with pytest.raises(ModelError, match="were made with backbone ffffffffffff"):
        Predictor.load(head, backbone)


def test_a_head_without_one_of_its_tensors_is_refused(tmp_path: Path) -> None:
    head, backbone = write(tmp_path)
    tensors = checkpoint.load(head)
    lost = sorted(tensors)[0]
    del tensors[lost]
    head_file(head, tensors, SPEC, backbone)
    with pytest.raises(ModelError, match=f"holds no tensor '{lost}'"):
        Predictor.load(head, backbone)


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    head, backbone = write(tmp_path)
    with pytest.raises(ModelError, match=r"backbone\.safetensors is a backbone, not a head"):
        Predictor.load(backbone, backbone)
    with pytest.raises(ModelError, match=r"backbone\.safetensors is a backbone, not a features file"):
        features_metadata(backbone)
    checkpoint.save(head, {}, {"a": 1})
    with pytest.raises(ModelError, match="is another file, not a head"):
        Predictor.load(head, backbone)
