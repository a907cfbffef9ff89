"""Open a model by the name that a person gives it, to answer with this project's code.

The version's own code does not run: its tensors are read, after their digests were checked.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.pipeline.network import checkpoint
from headstart.versions.registry import exported, stored_model
from headstart.versions.registry.uri import ModelUri
from headstart.versions.serving.answers import version_of
from headstart.versions.serving.predictor import Predictor


class Opened(NamedTuple):
    """A model that is ready to answer.

    Attributes:
        name: as it was given, with an alias resolved to the version.
        version: `models:/NAME/VERSION` for a registered version, else `head DIGEST`.
    """

    name: str
    version: str
    predictor: Predictor


def open_model(model: str, root: Path | None = Path(), folder: Path = Path()) -> Opened:
    """Open a model in MLflow, the folder of a downloaded or exported one, or a head next to its backbone.

    Args:
        root: of the project whose backbone belongs to a head file that lies alone; None for no project.
        folder: that a relative path starts from.

    Raises:
        HeadstartError: there is no such model, or it was changed after it was registered or written.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-model-", ignore_cleanup_errors=True) as fetched:
        name, head, backbone = _files(model, folder / model, root, Path(fetched))
        predictor = Predictor.load(head, backbone)
        return Opened(name, version_of(head, predictor.metadata["digest"]), predictor)


def _files(model: str, path: Path, root: Path | None, fetched: Path) -> tuple[str, Path, Path]:
    """Name, head and backbone; a model in MLflow is downloaded to `fetched`."""
    if path.is_dir():
        exported.check_files(path)
        stored = stored_model.open_stored(path, str(path), None)
        return model, stored.head, stored.backbone()
    if not path.exists() and ModelUri.is_meant(model):
        stored = stored_model.fetch(model, fetched)
        return stored.name, stored.head, stored.backbone()
    if not path.exists():
        raise HeadstartError(
            f"there is no head file {path}; train one (`dvc repro`), or name a version, such as "
            "models:/headstart@champion"
        )
    return model, path, _backbone_of(path, root)


def _backbone_of(head: Path, root: Path | None) -> Path:
    """The backbone next to a head file, or else the project's."""
    beside = head.with_name(paths.BACKBONE.name)
    if root is None and not beside.exists():
        checkpoint.metadata(head, checkpoint.HEAD)  # what is not a head has an error of its own
        raise HeadstartError(
            f"there is no {beside}, with the frozen layers that {head} needs: copy it there from the project "
            "that trained the head, or name a version, such as models:/headstart@champion"
        )
    return beside if root is None or beside.exists() else root / paths.BACKBONE
