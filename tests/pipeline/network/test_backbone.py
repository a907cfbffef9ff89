"""Backbone weights from torchvision's cache, a file or a seed, and the errors of each."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from headstart.errors import BackboneError, ParamsError
from headstart.pipeline.network.backbone import load_backbone
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors


def source(**changes: object) -> Backbone:
    return Backbone(
        **{"arch": "vgg16", "weights": "random", "sha256": None, "seed": 0, "width": 4, **changes}
    )


def weights(arch: str = "vgg16", width: int = 4) -> dict[str, torch.Tensor]:
    return dict(random_tensors(vgg_layers(arch, width), 5))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_with_its_digest(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    torch.save(weights(), path) if name.endswith("pth") else save_file(weights(), path)
    loaded = load_backbone(source(weights=str(path), sha256=sha256(path))).tensors
    assert all(torch.equal(loaded[key], tensor) for key, tensor in weights().items())


def test_a_file_older_than_batch_counters(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    old = {key: tensor for key, tensor in weights("vgg16_bn").items() if "num_batches" not in key}
    torch.save(old, path)
    loaded = load_backbone(source(arch="vgg16_bn", weights=str(path), sha256=sha256(path))).tensors
    assert loaded["features.1.num_batches_tracked"] == 0


def test_the_files_digest_is_required_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(weights(), path)
    with pytest.raises(ParamsError, match=f"backbone.sha256: required.*{sha256(path)}"):
        load_backbone(source(weights=str(path)))
    with pytest.raises(BackboneError, match="expected 0000"):
        load_backbone(source(weights=str(path), sha256="0" * 64))


def test_weights_of_another_architecture_name_the_one_they_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(weights("vgg19"), path)
    with pytest.raises(BackboneError, match="does not hold the weights of vgg16.*set `arch: vgg19`"):
        load_backbone(source(weights=str(path), sha256=sha256(path)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="no file .*gone.pth"):
        load_backbone(source(weights=str(tmp_path / "gone.pth"), sha256="0" * 64))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(b"no weights")
    with pytest.raises(BackboneError, match="cannot read .*bad.pth"):
        load_backbone(source(weights=str(path), sha256=sha256(path)))


class Code:
    """Code that a hostile file would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_code_in_a_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.weight": Code()}, "evil.pth")
    with pytest.raises(BackboneError, match="cannot read"):
        load_backbone(source(weights="evil.pth", sha256=sha256(Path("evil.pth"))))
    assert not Path("ran").exists()


def test_an_unknown_name_lists_what_is_possible() -> None:
    with pytest.raises(ParamsError, match="'IMAGENET' is neither 'random'.*IMAGENET1K_V1"):
        load_backbone(source(weights="IMAGENET"))


def test_pretrained_weights_need_torchvisions_width() -> None:
    with pytest.raises(ParamsError, match="width: 4 has no pretrained weights; expected 64"):
        load_backbone(source(weights="IMAGENET1K_V1"))


def test_pretrained_weights_out_of_reach_say_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(BackboneError) as caught:
        load_backbone(source(weights="IMAGENET1K_V1", width=64))
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in str(caught.value)
    assert str(tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth") in str(caught.value)


@pytest.mark.slow
def test_pretrained_weights_come_from_torchvisions_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has torchvision's format and place; the real one is not available to a test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = models.vgg16(weights=None, init_weights=False).state_dict()
    cached = tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    cached.parent.mkdir(parents=True)
    torch.save(state, cached)
    loaded = load_backbone(source(weights="IMAGENET1K_V1", width=64))
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in state.items())
    assert loaded.source.startswith("IMAGENET1K_V1, by its name only: the cached file has sha256")
    with pytest.raises(BackboneError, match="expected 397923af"):
        load_backbone(source(weights="IMAGENET1K_V1", width=64, sha256="397923af" + "0" * 56))
