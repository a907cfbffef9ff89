"""Whether a stored model may be loaded: that runs the code packed with it, whoever packed it."""

import os
from collections.abc import Mapping
from pathlib import Path

from mlflow.models import Model
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError
from headstart.ground.paths import PACKAGE
from headstart.ground.wording import named
from headstart.host.project import find_root
from headstart.repository import known_code
from headstart.versions.registry import tracking
from headstart.versions.registry.stored_model import StoredModel
from headstart.versions.serving.packed_files import code_digest

SETTING = "HEADSTART_TRUSTED_CODE"
SOURCE = f"src/{PACKAGE.name}"  # of the package, in the project
SHAPE = {"loader_module": "mlflow.pyfunc.loaders.code_model", "code": "code"}
FOREIGN = ("python_model", "data", "predict_fn", "predict_stream_fn")  # would load or call something else
SHOWN = 3


def check_code(model: StoredModel) -> None:
    """Check that loading a model runs only code that this project's git has, or that the user allows.

    Every file of code must be that of the running project, or all those of the commit or kept run that the
    model's run names, or of the package that headstart.lock.yaml names there. Outside of a project no git is
    asked: the code must be that of the installed package. `HEADSTART_TRUSTED_CODE` holds digests of other
    code that may run, separated by commas.

    Raises:
        TrackingError: there is other code; the message names it, and the digest that would allow it.
        RemoteUnreachable: a git remote, which may have the code, does not answer.
    """
    flavor = _checked_flavor(model)
    files = _code_files(model.folder, flavor)
    digest = code_digest(files)
    foreign = _foreign(files)
    if not foreign or digest in os.environ.get(SETTING, "").replace(" ", "").split(","):
        return
    if find_root(Path.cwd()) is None:
        raise TrackingError(
            f"{model.name} was not run: it holds other code than this installation "
            f"({named(sorted(foreign), SHOWN)}), and {Path.cwd()} is not in a project whose git may have it. "
            "Run this in the project that registered it, or with the Headstart that it was registered with; "
            f"if you have read the code and trust it, set {SETTING}={digest} (docs/security.md)"
        )
    commit, run_id = _origin(model)
    own = dict(zip(files, known_code.digests(list(files.values())), strict=True))
    lacking = list(own)
    for tree in known_code.trees(commit, run_id, SOURCE):
        lacking = [name for name in own if not _has(tree.files, name, own[name])]
        if not lacking or digest == tree.served:
            return
    raise TrackingError(
        f"{model.name} was not run: it holds code that this project does not have "
        f"({named(sorted(lacking), SHOWN)}). Expected the code of this project as it stands, of "
        f"commit {commit[:12] or '(none is recorded)'} on one of its branches, or of refs/runs/{run_id}. Ask "
        "whoever registered it to push that commit or ref; if you have read the code and trust it, set "
        f"{SETTING}={digest} (docs/security.md)"
    )


def _checked_flavor(model: StoredModel) -> Mapping[str, object]:
    """How MLflow loads the model, which must be as Headstart stores it.

    Raises:
        TrackingError: it would load a pickle, or code from elsewhere.
    """
    flavor: dict[str, object] = Model.load(str(model.folder)).flavors.get("python_function", {})
    wrong = [key for key, value in SHAPE.items() if flavor.get(key) != value]
    wrong += [key for key in FOREIGN if key in flavor]
    wrong += [] if str(flavor.get("model_code_path", "")).endswith(".py") else ["model_code_path"]
    if wrong:
        raise TrackingError(
            f"{model.name} was not run: its MLmodel is not as Headstart writes it ({', '.join(wrong)}); "
            "register the results again with `headstart register`"
        )
    return flavor


def _code_files(folder: Path, flavor: Mapping[str, object]) -> dict[str, Path]:
    """Everything that can be imported from a package, by its path there."""
    found = [path for path in (folder / "code").rglob("*") if not path.is_dir()]
    found.append(folder / Path(str(flavor["model_code_path"])).name)
    return {path.relative_to(folder).as_posix(): path for path in found}


def _foreign(files: Mapping[str, Path]) -> list[str]:
    """Names of the files that are not of the code that runs now."""
    return [
        name
        for name, path in files.items()
        if not any(own.is_file() and own.read_bytes() == path.read_bytes() for own in _running(name))
    ]


def _running(name: str) -> list[Path]:
    if name.startswith(f"code/{PACKAGE.name}/"):
        return [PACKAGE.parent / name.removeprefix("code/")]
    return list(PACKAGE.rglob(name)) if "/" not in name else []


def _has(tree: Mapping[str, str], name: str, digest: str) -> bool:
    """Whether a tree has a file of the package at its place; MLflow copies the model's own to the root."""
    if name.startswith(f"code/{PACKAGE.name}/"):
        return tree.get(f"src/{name.removeprefix('code/')}") == digest
    return "/" not in name and any(
        path.rpartition("/")[2] == name and found == digest for path, found in tree.items()
    )


def _origin(model: StoredModel) -> tuple[str, str]:
    """The commit and the run that a model claims to be of; "" for what it does not name."""
    if not model.run_id or model.run_id == "None":
        return "", ""
    client: MlflowClient = tracking.connect()
    with tracking.translated(f"look up the run of {model.name}"):
        tags = client.get_run(model.run_id).data.tags
    return str(tags.get("mlflow.source.git.commit", "")), model.run_id
