"""The files of a stored model: its head, and the frozen tensors that it runs."""

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
    """Files of a model on this machine.

    Attributes:
        name: its URI, of a version where it is one: aliases are resolved.
        folder: the whole package; MLflow loads it from there.
        run_id: of the run that made it.
        frozen: the frozen tensors, or the JSON that refers to them.
    """

    name: str
    folder: Path
    run_id: str
    head: Path
    frozen: Path

    def backbone(self) -> Path:
        """Its frozen tensors: the package's own file, or the folder of layers that it refers to.

        Raises:
            TrackingError: they are not on the server.
        """
        return fetch_frozen(self.frozen) if self.frozen.suffix == ".json" else self.frozen


def fetch(uri: str) -> StoredModel:
    """The files of `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/model`.

    They are removed when this process ends.

    Raises:
        TrackingError: MLflow is out of reach, has no such model, or one that is not ours.
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
