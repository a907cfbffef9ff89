"""The files of a stored model: its head, and the frozen tensors it runs."""

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.models import Model

from headstart.errors import TrackingError
from headstart.versions.registry import tracking
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
    """
    client = tracking.connect()
    with tracking.translated(f"fetch {uri}"):
        name = str(resolved := ModelUri.parse(uri).resolved(client))
        if resolved.run_id is not None and resolved.path is None:
            raise TrackingError(f"{uri} is a run; the model of a run is {uri}/model")
        own = tempfile.mkdtemp(prefix="headstart-model-")
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=name, dst_path=own))
        loaded = Model.load(str(folder))
    files = loaded.flavors.get("python_function", {}).get("artifacts", {})
    stored = next((files[name] for name in ("backbone", "frozen") if name in files), None)
    if stored is None or "head" not in files:
        raise TrackingError(f"{uri} was not registered by Headstart: it holds no head and backbone")
    head, frozen = folder / files["head"]["path"], folder / stored["path"]
    return StoredModel(name, folder, str(loaded.run_id), head, frozen)
