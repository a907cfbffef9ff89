"""The files of a stored model: its head, and the frozen tensors it runs."""

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.models import Model
from yaml import YAMLError  # type: ignore[import-untyped]

from headstart.errors import ModelError, TrackingError
from headstart.ground.files import inside
from headstart.pipeline.network import checkpoint
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.frozen import fetch_frozen
from headstart.versions.registry.uri import ModelUri


@dataclass(frozen=True)
class StoredModel:
    """A model's files on this machine.

    Attributes:
        name: its URI, with an alias resolved to the version.
        folder: the whole package; MLflow loads it from there.
        run_id: the run that made it.
        frozen: the frozen tensors, or the JSON file that refers to them.
    """

    name: str
    folder: Path
    run_id: str
    head: Path
    frozen: Path

    def backbone(self, cache: Path | None = None) -> Path:
        """Path of its frozen tensors: the package's own file, or a folder with the layers it refers to.

        Args:
            cache: the folder that keeps fetched layers; this machine's cache by default.

        Raises:
            TrackingError: the layers are not on the server.
        """
        return fetch_frozen(self.frozen, cache) if self.frozen.suffix == ".json" else self.frozen


def fetch(uri: str) -> StoredModel:
    """Download the files of `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/model`.

    They are removed when this process ends.

    Raises:
        TrackingError: MLflow is unreachable, has no such model, or it was not registered by Headstart.
        ModelError: the values of the head are not those that were registered.
    """
    client = tracking.connect()
    with tracking.translated(f"fetch {uri}"):
        resolved = ModelUri.parse(uri).resolved(client)
        name = str(resolved)
        if resolved.run_id is not None and resolved.path is None:
            raise TrackingError(f"{uri} is a run; the model of a run is {uri}/model")
        own = tempfile.mkdtemp(prefix="headstart-model-")
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=name, dst_path=own))
        if resolved.name is not None:
            tags = resolved.version(client).tags
            return open_stored(folder, name, tags.get(versions.HEAD_TAG))
        tags = client.get_run(_described(folder, name)[0]).data.tags
        return open_stored(folder, name, tags.get(f"headstart.{versions.HEAD_TAG}"))


def open_stored(folder: Path, name: str, recorded: str | None) -> StoredModel:
    """The files of a model in a folder, after checking its head.

    Args:
        name: the model's URI.
        recorded: digest of the head on the tracking server; the first versions have none there.

    Raises:
        TrackingError: the model was not registered by Headstart.
        ModelError: the values of the head are not those that were registered.
    """
    run_id, files = _described(folder, name)
    stored = next((files[part] for part in ("backbone", "frozen") if part in files), None)
    if stored is None or "head" not in files:
        raise TrackingError(f"{name} was not registered by Headstart: it holds no head and backbone")
    head, frozen = inside(folder, files["head"]), inside(folder, stored)
    _check_head(head, name, recorded)
    return StoredModel(name, folder, run_id, head, frozen)


def _described(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """The run and the paths of a model's files, as its `MLmodel` names them."""
    try:
        loaded = Model.load(str(folder))
        files = loaded.flavors.get("python_function", {}).get("artifacts", {})
        return str(loaded.run_id), {part: str(file["path"]) for part, file in files.items()}
    except (AttributeError, KeyError, OSError, TypeError, ValueError, YAMLError) as error:
        raise TrackingError(f"the file MLmodel of {name} is missing or damaged: {error}") from error


def _check_head(head: Path, name: str, recorded: str | None) -> None:
    """Check a head's values here, because the code packed with earlier versions does not."""
    found = checkpoint.digest(checkpoint.load_checked(head))
    if recorded is not None and found != recorded:
        raise ModelError(
            f"the artifact store holds head {found[:12]} for {name}, which was registered with head "
            f"{recorded[:12]}: the file was changed afterwards. Restore it "
            "from a backup of the store, or train and register again"
        )
