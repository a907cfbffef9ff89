"""The files of a stored model are what was registered, and lie in its folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.models import Model
from problems import backbone_file, head_file

from headstart.errors import HeadstartError, ModelError, TrackingError
from headstart.ground.files import inside
from headstart.ground.paths import cache_folder
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.network import NetworkSpec
from headstart.versions.registry.frozen import fetch_frozen
from headstart.versions.registry.stored_model import StoredModel, file_digest, open_stored, remove_compiled

NAME = "models:/headstart/1"
SPEC = NetworkSpec("vgg16", 4, "pooled", ("a", "b"))


def store(
    folder: Path, head: str = "artifacts/head.safetensors", frozen: str = "artifacts/frozen.json"
) -> str:
    """Write a model as MLflow stores it; returns the digest of its head."""
    tensors = {"classifier.6.3.bias": torch.ones(2)}
    (folder / "artifacts").mkdir(parents=True)
    head_file(folder / "artifacts/head.safetensors", tensors, SPEC, backbone_file(folder.parent))
    artifacts = {"head": {"path": head}, "frozen": {"path": frozen}}
    Model(run_id="a" * 32, flavors={"python_function": {"artifacts": artifacts}}).save(
        str(folder / "MLmodel")
    )
    return checkpoint.digest(tensors)


def test_a_model_is_opened_with_the_head_that_was_registered(tmp_path: Path) -> None:
    digest = store(tmp_path / "model")
    expected = tmp_path / "model/artifacts"
    for recorded in (digest, None):
        found = open_stored(tmp_path / "model", NAME, recorded)
        assert isinstance(found, StoredModel)
        assert (found.head, found.frozen) == (expected / "head.safetensors", expected / "frozen.json")


def test_another_head_than_the_registered_one_is_refused(tmp_path: Path) -> None:
    digest = store(tmp_path / "model")
    with pytest.raises(ModelError, match=f"holds head {digest[:12]} for {NAME}.* with head ffffffffffff"):
        open_stored(tmp_path / "model", NAME, "f" * 64)


def test_a_head_file_with_other_classes_than_the_registered_one_is_refused(tmp_path: Path) -> None:
    digest = store(tmp_path / "model")
    head = tmp_path / "model/artifacts/head.safetensors"
    whole = file_digest(head)
    assert open_stored(tmp_path / "model", NAME, digest, whole).head == head
    checkpoint.save(head, checkpoint.load(head), {**checkpoint.metadata(head), "classes": ["b", "a"]})
    assert open_stored(tmp_path / "model", NAME, digest).head == head  # an earlier version has no such tag
    with pytest.raises(ModelError, match=f"with {whole[:12]}; its tensors are the same, but not its classes"):
        open_stored(tmp_path / "model", NAME, digest, whole)


def test_a_head_whose_values_were_changed_is_refused_for_versions_of_any_age(tmp_path: Path) -> None:
    digest = store(tmp_path / "model")
    head = tmp_path / "model/artifacts/head.safetensors"
    checkpoint.save(head, {"classifier.6.3.bias": torch.full((2,), -3.0)}, checkpoint.metadata(head))
    for recorded in (digest, None):
        with pytest.raises(ModelError, match="changed after it was written"):
            open_stored(tmp_path / "model", NAME, recorded)


@pytest.mark.parametrize("path", ["../head.safetensors", "/etc/passwd", "artifacts/../../x", ".."])
@pytest.mark.parametrize("part", ["head", "frozen"])
def test_a_path_that_leads_out_of_the_model_is_not_followed(tmp_path: Path, part: str, path: str) -> None:
    store(tmp_path / "model", **{part: path})
    with pytest.raises(HeadstartError, match="does not lead into"):
        open_stored(tmp_path / "model", NAME, None)


def test_paths_inside_a_folder_may_have_any_name() -> None:
    for name in ("a", "a/b.png", "..a/b", "a..b"):
        assert inside(Path("data"), name) == Path("data") / name
    for name in ("", "..", "a/../..", "/a"):
        with pytest.raises(HeadstartError, match="does not lead into data"):
            inside(Path("data"), name)


@pytest.mark.parametrize("text", ["", "flavors: [", "- a", "flavors: 3"])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(TrackingError, match="MLmodel of models:/headstart/1 is missing or damaged"):
        open_stored(tmp_path, NAME, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": {"digest": "../../../x/evil", "source": "random"}},
        {"backbone": {"digest": "A" * 64, "source": "random"}},
        {"backbone": {"digest": "a" * 64 + "\n", "source": "random"}},
        {"layers": {"../features.0": "a" * 64}},
        {"layers": {"features.0\n": "a" * 64}},
        {"layers": {"features.0": "../evil"}},
        {"layers": None},
    ],
)
def test_names_in_a_reference_to_layers_are_digests_and_layers(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    reference = tmp_path / "frozen.json"
    named = {"backbone": {"digest": "a" * 64, "source": "random"}, "layers": {"features.0": "b" * 64}}
    reference.write_text(json.dumps({**named, **changes}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TrackingError, match=r"frozen\.json of this version does not name a backbone"):
        fetch_frozen(reference)
    assert sorted(tmp_path.rglob("*")) == before
    assert not cache_folder().exists()


def test_a_cut_reference_to_layers_is_named(tmp_path: Path) -> None:
    (tmp_path / "frozen.json").write_text('{"backbone": {"dig')
    with pytest.raises(TrackingError, match=r"frozen\.json of this version"):
        fetch_frozen(tmp_path / "frozen.json")


def test_compiled_modules_are_removed_and_other_code_stays(tmp_path: Path) -> None:
    code = tmp_path / "code/headstart"
    (code / "__pycache__").mkdir(parents=True)
    for name in ("heads.py", "foreign.pyc", "__pycache__/heads.cpython-311.pyc"):
        (code / name).touch()
    remove_compiled(tmp_path)
    assert sorted(path.name for path in code.iterdir()) == ["foreign.pyc", "heads.py"]
