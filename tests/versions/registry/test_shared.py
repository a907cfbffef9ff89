"""A backbone is stored once per tracking server, and every version that names it finds it there."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import edit_params, headstart, repro
from servers import mlflow_server

from headstart.pipeline.network import checkpoint
from headstart.versions.registry import shared

pytestmark = pytest.mark.server


@dataclass(frozen=True)
class Shared:
    """A project with a version on a server; `files` are the server's, `layers` those of the backbone."""

    project: Path
    address: str
    files: Path
    layers: list[Path]


@pytest.fixture(scope="module")
def registered(common: Path, common_repository: Path) -> Iterator[Shared]:
    with pytest.MonkeyPatch.context() as patch, mlflow_server(common / "server") as address:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        repro(common_repository)
        assert "version 1 registered" in headstart(common_repository, "register")
        files = common / "server" / "artifacts"
        layers = [path for path in stored(files) if path.match("features.*.safetensors")]
        yield Shared(common_repository, address, files, layers)


@pytest.fixture
def server(registered: Shared, monkeypatch: pytest.MonkeyPatch) -> Shared:
    """The same server for all tests here; each damages what the next does not need."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.address)
    return registered


def stored(folder: Path) -> dict[Path, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.stat().st_size for path in files}


def test_versions_share_a_backbone(server: Shared) -> None:
    assert sorted(path.name for path in server.layers) == sorted(
        f"features.{index}.safetensors" for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    )
    first = stored(server.files)
    edit_params(server.project, **{"train.lr": 0.02})
    repro(server.project)
    assert "version 2 registered" in headstart(server.project, "register")
    further = {path: size for path, size in stored(server.files).items() if path not in first}
    head = (server.project / "artifacts/head.safetensors").stat().st_size
    assert sum(further.values()) < head + 1_000_000
    assert not {path.name for path in further} & {path.name for path in server.layers}


def test_a_backbone_is_fetched_by_digest_and_a_damaged_copy_fetched_again(
    server: Shared, tmp_path: Path
) -> None:
    answer = predict(server)
    assert "data/dark/000.png  dark" in answer
    [held] = (tmp_path / "store" / "backbones").iterdir()
    assert {path.name for path in held.iterdir()} == {path.name for path in server.layers}
    (held / "features.0.safetensors").write_bytes(b"damaged")
    assert predict(server) == answer


def test_a_version_with_a_full_package_shares_nothing(server: Shared, tmp_path: Path) -> None:
    edit_params(server.project, **{"train.lr": 0.01, "register.package": "full"})
    repro(server.project)
    said = headstart(server.project, "register")
    number = said.partition("headstart version ")[2].split()[0]
    shutil.rmtree(tmp_path / "store")
    assert "data/dark/000.png  dark" in predict(server, number)
    assert not (tmp_path / "store" / "backbones").exists()


def test_a_layer_that_was_changed_on_the_server_is_refused(server: Shared) -> None:
    _damage(server.files, server.layers[0])
    assert "is not what the version was registered with" in predict(server, status=1)


def test_a_backbone_that_was_removed_from_the_server_is_named(server: Shared) -> None:
    client = MlflowClient(server.address, server.address)
    run_id = client.get_model_version("headstart", "1").run_id
    digest = client.get_run(run_id).data.tags["headstart.backbone"]
    kept = shared.find(client, f"backbone {digest}")
    assert kept is not None
    client.delete_run(kept.info.run_id)
    said = predict(server, status=1)
    assert f"backbone {digest} (random (seed 0)) is not on {server.address}" in said
    assert "register.package: full" in said


def predict(server: Shared, number: str = "1", status: int = 0) -> str:
    model = f"models:/headstart/{number}"
    return headstart(server.project, "predict", "--model", model, "data/dark", status=status)


def _damage(server: Path, layer: Path) -> None:
    """Replace a layer's file with other values."""
    path = server / layer
    tensors = checkpoint.load(path)
    checkpoint.save(path, {name: tensor + 1 for name, tensor in tensors.items()}, checkpoint.metadata(path))
