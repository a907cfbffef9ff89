"""The frozen layers of registered versions: a backbone's layers are stored once per tracking server."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import mlflow
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, Field, ValidationError

from headstart.errors import ModelError, TrackingError
from headstart.ground.paths import cache_folder
from headstart.ground.settings import Digest
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import frozen_tensors
from headstart.pipeline.network.modules import head_of, prefix_of
from headstart.pipeline.network.network import plan, spec_of
from headstart.versions.registry import shared, tracking

LayerName = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")]
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
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(checkpoint.layer_of(name), []).append(name)
    digests = {layer: checkpoint.digest(frozen_tensors(backbone, own)) for layer, own in layers.items()}
    reference.write_text(json.dumps({"backbone": metadata, "layers": digests}, indent=1), encoding="utf-8")
    if not layers:
        return False

    def write(layer: str, path: Path) -> None:
        described = {"layer": layer, "backbone": metadata["digest"]}
        checkpoint.save(path, checkpoint.load(backbone, layers[layer]), described)

    files = {_file(layer): lambda path, layer=layer: write(layer, path) for layer in layers}
    title = f"backbone {metadata['arch']} {metadata['digest'][:12]}"
    return bool(shared.keep(client, _key(metadata["digest"]), title, files).sent)


def frozen_names(head: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that a head's network runs and did not train.

    Args:
        head: the metadata of its file.
    """
    network = plan(spec_of(head))
    own = set(network.head_names())
    return [name for name in [*prefix_of(network).tensors(), *head_of(network).tensors()] if name not in own]


def fetch_frozen(reference: Path, cache: Path | None = None) -> Path:
    """Return a folder with the layers that a version names, from this machine's cache or else the server.

    Every layer is verified by its digest, cached or not.

    Args:
        cache: used instead of `HEADSTART_CACHE`.

    Raises:
        TrackingError: the server has no such backbone, or its layers differ from those the version names.
    """
    try:
        named = _Reference.model_validate_json(reference.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrackingError(
            f"{reference.name} of this version does not name a backbone and digests of its layers: it was "
            f"damaged or changed after it was registered ({error}); {ADVICE}"
        ) from error
    backbone, layers = named.backbone, named.layers
    folder: Path = (cache or cache_folder()) / "backbones" / backbone.digest
    if missing := [layer for layer in layers if not _holds(folder, layer, layers[layer])]:
        _download(backbone, missing, folder)
    for layer in missing:
        if not _holds(folder, layer, layers[layer]):
            raise TrackingError(
                f"{layer} of backbone {backbone.digest} is not what the version was registered with: "
                f"{tracking.server_name()} holds different values; {ADVICE}"
            )
    return folder


class _Backbone(BaseModel):
    digest: Digest
    source: str


class _Reference(BaseModel):
    """The file that a version stores in place of a backbone; its names become names of files."""

    backbone: _Backbone
    layers: dict[LayerName, Digest]


def _download(backbone: _Backbone, layers: list[str], folder: Path) -> None:
    digest = backbone.digest
    if not mlflow.tracking.is_tracking_uri_set():
        raise TrackingError(
            f"this version needs backbone {digest} from its tracking server; set "
            "MLFLOW_TRACKING_URI, or register with register.package: full"
        )
    with tracking.translated(f"fetch backbone {digest}"):
        run = shared.find(MlflowClient(), _key(digest))
        lacking = [layer for layer in layers if run is None or f"kept.{_file(layer)}" not in run.data.tags]
        if run is None or lacking:
            raise TrackingError(
                f"backbone {digest} ({backbone.source}) is not on {tracking.server_name()}: "
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


def _file(layer: str) -> str:
    return f"{layer}.safetensors"


def _key(digest: str) -> str:
    return f"backbone {digest}"
