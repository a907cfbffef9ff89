"""`headstart init-from`: start the next training from an earlier head."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart import repository
from headstart.errors import HeadstartError, ModelError
from headstart.ground import paths
from headstart.ground.files import replacing
from headstart.ground.reading import reading
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.weight_files import check_finite, is_weight_file


@dataclass(frozen=True)
class InitialHead:
    """The head that the next training starts from.

    Attributes:
        source: name of the version, or path of the file, that it was copied from.
        digest: of its tensors, as in `train.init`.
    """

    source: str
    classes: tuple[str, ...]
    digest: str

    def sentence(self) -> str:
        """One line for a person."""
        return (
            f"{paths.INIT} holds the head of {self.source} ({', '.join(self.classes[:5])}); train.init is "
            f"{self.digest[:12]}..., and {paths.INIT}.dvc records its version: the next training starts "
            "from it"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {**asdict(self), "head": str(paths.INIT), "recorded_in": f"{paths.INIT}.dvc"}


def init_from(source: str) -> InitialHead:
    """Write `artifacts/init.safetensors`, version it with DVC, and put its digest in `train.init`.

    Args:
        source: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/RUN/model`, or the path of a head file.

    Raises:
        HeadstartError: there is no such head.
    """
    name, head = _resolve(source)
    metadata = _metadata(source, head)
    tensors = checkpoint.load_checked(head)
    check_finite(tensors, source)
    digest = checkpoint.digest(tensors)
    paths.INIT.parent.mkdir(exist_ok=True)
    with replacing(paths.INIT) as new:
        shutil.copyfile(head, new)
    repository.add(paths.INIT)
    set_init(digest)
    return InitialHead(name, tuple(metadata["classes"]), digest)


def _metadata(source: str, head: Path) -> dict[str, Any]:
    """The metadata of a head.

    Raises:
        HeadstartError: the file is something else; the message says what.
    """
    expected = "expected a head, such as artifacts/head.safetensors, or a version such as headstart@champion"
    if head.suffix.lower() != ".safetensors" and is_weight_file(head.name):
        raise HeadstartError(
            f"{source} is a PyTorch file of weights, not a head; {expected}. Weights of a whole VGG belong "
            "in backbone.weights, with their backbone.sha256"
        )
    try:
        return checkpoint.metadata(head, checkpoint.HEAD)
    except ModelError as error:
        raise HeadstartError(f"{error}; {expected}") from error


def set_init(digest: str | None) -> None:
    """Set `train.init` in params.yaml, keeping comments and order; a missing section `train` is added."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6
    with reading(paths.PARAMS, "correct it, or restore it with `git checkout`"):
        document = yaml.load(paths.PARAMS)
        train = document.get("train") or {}
        if train.get("init") == digest:
            return
        train["init"] = digest
        document["train"] = train
    yaml.representer.add_representer(type(None), _null)
    with replacing(paths.PARAMS) as new:
        yaml.dump(document, new)


def _null(representer: Any, value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _resolve(source: str) -> tuple[str, Path]:
    from headstart.versions.registry import stored_model
    from headstart.versions.registry.uri import ModelUri

    path = Path(source)
    if not path.exists() and ModelUri.is_meant(source):
        stored = stored_model.fetch(source)
        return stored.name, stored.head
    if not path.is_file():
        raise HeadstartError(
            f"there is no head file {source}; name one, or a version such as models:/headstart@champion"
        )
    return str(path), path
