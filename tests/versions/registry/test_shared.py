"""A backbone is stored once per tracking server, and every version that names it finds it there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import edit_params, repro, run
from servers import mlflow_server

from headstart.pipeline.network import checkpoint
from headstart.versions.registry import shared

pytestmark = pytest.mark.server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a running tracking server's files; `MLFLOW_TRACKING_URI` is set to the server."""
    with mlflow_server(tmp_path / "server") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield tmp_path / "server" / "artifacts"


def headstart(root: Path, *arguments: str, check: bool = True) -> str:
    return run(root, str(root / "bin" / "headstart"), *arguments, check=check).stdout


def stored(folder: Path) -> dict[Path, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.stat().st_size for path in files}


def test_versions_share_a_backbone_that_is_fetched_by_digest_and_verified(
    repository: Path, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repro(repository)
    assert "version 1 registered" in headstart(repository, "register")
    first = stored(server)
    layers = [path for path in first if path.name.startswith("features.") and path.suffix == ".safetensors"]
    assert sorted(path.name for path in layers) == sorted(
        f"features.{index}.safetensors" for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    )

    edit_params(repository, **{"train.lr": 0.02})
    repro(repository)
    assert "version 2 registered" in headstart(repository, "register")
    further = {path: size for path, size in stored(server).items() if path not in first}
    head = (repository / "artifacts/head.safetensors").stat().st_size
    assert sum(further.values()) < head + 1_000_000
    assert not {path.name for path in further} & {path.name for path in layers}

    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("HEADSTART_CACHE", str(elsewhere))
    answer = headstart(repository, "predict", "--model", "models:/headstart/1", "data/dark")
    assert "data/dark/000.png  dark" in answer
    [held] = (elsewhere / "backbones").iterdir()
    assert {path.name for path in held.iterdir()} == {path.name for path in layers}

    (held / "features.0.safetensors").write_bytes(b"damaged")
    assert headstart(repository, "predict", "--model", "models:/headstart/1", "data/dark") == answer

    _damage(server, layers[0])
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "third"))
    said = headstart(repository, "predict", "--model", "models:/headstart/1", "data/dark", check=False)
    assert f"of backbone {held.name} is not what the version was registered with" in said

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    kept = shared.find(client, f"backbone {held.name}")
    assert kept is not None
    client.delete_run(kept.info.run_id)
    said = headstart(repository, "predict", "--model", "models:/headstart/1", "data/dark", check=False)
    assert f"backbone {held.name} (random (seed 0)) is not on {os.environ['MLFLOW_TRACKING_URI']}" in said
    assert "register.package: full" in said

    edit_params(repository, **{"train.lr": 0.01, "register.package": "full"})
    repro(repository)
    assert "version 3 registered" in headstart(repository, "register")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "fourth"))
    said = headstart(repository, "predict", "--model", "models:/headstart/3", "data/dark")
    assert "data/dark/000.png  dark" in said
    assert not (tmp_path / "fourth" / "backbones").exists()


def _damage(server: Path, layer: Path) -> None:
    """Replace a layer's file with other values."""
    path = server / layer
    tensors = checkpoint.load(path)
    checkpoint.save(path, {name: tensor + 1 for name, tensor in tensors.items()}, checkpoint.metadata(path))
