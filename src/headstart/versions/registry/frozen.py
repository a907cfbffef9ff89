"""The frozen layers of registered versions: a backbone's layers are stored once per tracking server."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

from headstart.errors import ModelError, TrackingError
from headstart.ground.paths import cache_folder
from headstart.pipeline.network import checkpoint
from headstart.versions.registry import shared, tracking

ADVICE = (
    "register any version with this backbone again to store it, or register with "
    "register.package: full for a package that holds its own"
)


def keep_frozen(client: MlflowClient, backbone: Path, names: list[str], reference: Path) -> bool:
    """Store those frozen tensors of a version that the server lacks, and write a reference to all of them.

    Args:
        backbone: the file written by the backbone stage.
        names: names of the tensors that the version runs but did not train.
        reference: JSON file to write: the backbone, and the digest of each layer.

    Returns:
        Whether anything was uploaded.
    """
    metadata = checkpoint.metadata(backbone)
    layers = _by_layer(names)
    digests = {layer: checkpoint.digest(checkpoint.load(backbone, own)) for layer, own in layers.items()}
    reference.write_text(json.dumps({"backbone": metadata, "layers": digests}, indent=1), encoding="utf-8")
    if not layers:
        return False

    def write(layer: str, path: Path) -> None:
        described = {"layer": layer, "backbone": metadata["digest"]}
        checkpoint.save(path, checkpoint.load(backbone, layers[layer]), described)

    files = {_file(layer): lambda path, layer=layer: write(layer, path) for layer in layers}
    title = f"backbone {metadata['arch']} {metadata['digest'][:12]}"
    return bool(shared.keep(client, _key(metadata), title, files).sent)


def fetch_frozen(reference: Path, cache: Path | None = None) -> Path:
    """Return a folder with the layers that a version names, from this machine's cache or else the server.

    Every layer is verified by its digest, cached or not.

    Args:
        cache: used instead of `HEADSTART_CACHE`.

    Raises:
        TrackingError: the server has no such backbone, or its layers differ from those the version names.
    """
    record = json.loads(reference.read_text(encoding="utf-8"))
    backbone, layers = record["backbone"], record["layers"]
    folder: Path = (cache or cache_folder()) / "backbones" / backbone["digest"]
    if missing := [layer for layer in layers if not _holds(folder, layer, layers[layer])]:
        _download(backbone, missing, folder)
    for layer in missing:
        if not _holds(folder, layer, layers[layer]):
            raise TrackingError(
                f"{layer} of backbone {backbone['digest']} is not what the version was registered with: "
                f"{tracking.server_name()} holds different values; {ADVICE}"
            )
    return folder


def _download(backbone: Mapping[str, Any], layers: list[str], folder: Path) -> None:
    digest = backbone["digest"]
    if not mlflow.tracking.is_tracking_uri_set():
        raise TrackingError(
            f"this version needs backbone {digest} from its tracking server; set "
            "MLFLOW_TRACKING_URI, or register with register.package: full"
        )
    with tracking.translated(f"fetch backbone {digest}"):
        run = shared.find(MlflowClient(), _key(backbone))
        lacking = [layer for layer in layers if run is None or f"kept.{_file(layer)}" not in run.data.tags]
        if run is None or lacking:
            raise TrackingError(
                f"backbone {digest} ({backbone['source']}) is not on {tracking.server_name()}: "
                f"{', '.join(lacking[:3])} missing in experiment {shared.EXPERIMENT}; {ADVICE}"
            )
        shared.fetch(run, [_file(layer) for layer in layers], folder)


def _holds(folder: Path, layer: str, digest: str) -> bool:
    path = folder / _file(layer)
    if not path.exists():
        return False
    try:
        return checkpoint.digest(checkpoint.load(path)) == digest
    except ModelError:
        return False


def _by_layer(names: list[str]) -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(checkpoint.layer_of(name), []).append(name)
    return layers


def _file(layer: str) -> str:
    return f"{layer}.safetensors"


def _key(backbone: Mapping[str, Any]) -> str:
    return f"backbone {backbone['digest']}"
