"""The files of a stored model: its head, and the frozen tensors it runs."""

import atexit
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from yaml import YAMLError  # type: ignore[import-untyped]

from headstart.errors import ModelError, TrackingError
from headstart.ground.files import inside
from headstart.pipeline.network import checkpoint
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.frozen import fetch_frozen
from headstart.versions.registry.uri import ModelUri

CHANGED = (
    "the file was changed afterwards. Restore it from a backup of the store, or train and register again"
)


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


def fetch(uri: str, folder: Path | None = None) -> StoredModel:
    """Download the files of `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/model`.

    Args:
        folder: an empty one to download to; by default a new one, which is removed when this process ends.

    Raises:
        TrackingError: MLflow is unreachable, has no such model, or it was not registered by Headstart.
        ModelError: the head is not the one that was registered.
    """
    client = tracking.connect()
    with tracking.translated(f"fetch {uri}"):
        resolved = ModelUri.parse(uri).resolved(client)
        name = str(resolved)
        if resolved.run_id is not None and resolved.path is None:
            raise TrackingError(f"{uri} is a run; the model of a run is {uri}/model")
        own = str(folder or _temporary())
        fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=name, dst_path=own))
        remove_compiled(fetched)
        if resolved.name is not None:
            tags, prefix = resolved.version(client).tags, ""
        else:
            tags, prefix = client.get_run(_described(fetched, name)[0]).data.tags, "headstart."
        recorded, whole = tags.get(f"{prefix}{versions.HEAD_TAG}"), tags.get(f"{prefix}{versions.FILE_TAG}")
        return open_stored(fetched, name, recorded, whole)


def remove_compiled(folder: Path) -> None:
    """Remove the modules that Python compiled in a folder.

    It writes them into the artifact store itself if MLflow loads a version from there; they are no part of
    the version, and would run in place of its code.
    """
    for compiled in [path for path in folder.rglob("__pycache__") if path.is_dir()]:
        shutil.rmtree(compiled)


def _temporary() -> Path:
    """A new folder that is removed when this process ends."""
    made = tempfile.mkdtemp(prefix="headstart-model-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a head, these are its tensors, classes, limits and transform."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_stored(folder: Path, name: str, recorded: str | None, whole: str | None = None) -> StoredModel:
    """The files of a model in a folder, after checking its head.

    Args:
        name: the model's URI.
        recorded: digest of the head's tensors on the tracking server; the first versions have none there.
        whole: digest of the head file there; earlier versions have none.

    Raises:
        TrackingError: the model was not registered by Headstart.
        ModelError: the head is not the one that was registered.
    """
    run_id, files = _described(folder, name)
    stored = next((files[part] for part in ("backbone", "frozen") if part in files), None)
    if stored is None or "head" not in files:
        raise TrackingError(f"{name} was not registered by Headstart: it holds no head and backbone")
    head, frozen = inside(folder, files["head"]), inside(folder, stored)
    _check_head(head, name, recorded, whole)
    return StoredModel(name, folder, run_id, head, frozen)


def _described(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """The run and the paths of a model's files, as its `MLmodel` names them."""
    try:
        loaded = Model.load(str(folder))
        files = loaded.flavors.get("python_function", {}).get("artifacts", {})
        return str(loaded.run_id), {part: str(file["path"]) for part, file in files.items()}
    except (AttributeError, KeyError, MlflowException, OSError, TypeError, ValueError, YAMLError) as error:
        raise TrackingError(f"the file MLmodel of {name} is missing or damaged: {error}") from error


def _check_head(head: Path, name: str, recorded: str | None, whole: str | None) -> None:
    """Check a head's values here, because the code packed with earlier versions does not."""
    found = checkpoint.digest(checkpoint.load_checked(head))
    if recorded is not None and found != recorded:
        raise ModelError(
            f"the artifact store holds head {found[:12]} for {name}, which was registered with head "
            f"{recorded[:12]}: {CHANGED}"
        )
    if whole is not None and (bytes_found := file_digest(head)) != whole:
        raise ModelError(
            f"the artifact store holds a head file with digest {bytes_found[:12]} for {name}, which was "
            f"registered with {whole[:12]}; its tensors are the same, but not its classes, limits or "
            f"transform: {CHANGED}"
        )
