"""Register what the stages made: a run with its record, and a model version without alias. Idempotent."""

import base64
import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Param
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model
from mlflow.models.model import ModelInfo
from mlflow.tracking import MlflowClient
from PIL import Image

from headstart import __version__, repository
from headstart.errors import LineageError, TrackingError
from headstart.ground import paths
from headstart.ground.reading import load_json, load_table
from headstart.host.project import has_code
from headstart.pipeline.evaluation.figures import read_headline
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import frozen_tensors
from headstart.repository import code_lock, package_archive
from headstart.versions.registry import frozen, record, shared, stored_model, tracking, versions
from headstart.versions.registry.dataset import DvcSource, ImageFolder
from headstart.versions.registry.versions import Registered
from headstart.versions.release import announcement, overview, run_metrics, run_page
from headstart.versions.release import experiment as trainings
from headstart.versions.release.run_metrics import as_param
from headstart.versions.serving import served_model
from headstart.versions.serving.model_process import Answer, ModelProcess
from headstart.versions.serving.packed_files import packed_files
from headstart.versions.serving.signature import signature

PINNED = ("mlflow", "torch", "torchvision", "numpy", "pandas", "pillow", "safetensors", "fsspec", "aiohttp")
PROBED = 4
TOLERANCE = 1e-3
FULL = "full"
REFUSE = "refuse"
REPORTS = (
    *(paths.REPORT, paths.METRICS, paths.INTERVALS, paths.CLASSES, paths.HISTORY, paths.TRIALS),
    *(paths.VALIDATION, paths.NEAR_DUPLICATES, paths.DATA_REPORT, paths.DATA_FIGURES),
)


def register(
    name: str,
    experiment: str,
    params: Mapping[str, Any],
    package: str = "shared",
    dirty: str = "record",
    run_id: str | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Registered:
    """Record the results that stand in the tree and register the model; the same results once.

    The gate judges the version afterwards, and `promotion.settle` sets its aliases.

    Args:
        name: of the registered model.
        params: the whole of params.yaml with all defaults, for the record.
        package: `shared`: the backbone is stored once per tracking server; `full`: in each version.
        dirty: `record`: uncommitted changes are kept with the version; `refuse`: they are an error.
        run_id: the run that the flow opened; without it one is opened here, and ends as FAILED with its
            reason if no version comes of it.
        say: called with each number that is left out, because it belongs to another version.

    Raises:
        LineageError: the results are not those of the tree's code, data and params; or there are uncommitted
            changes and `dirty` refuses them; or nothing could give the commit back.
        TrackingError: MLflow is out of reach, refuses, or what it stored does not answer as evaluated.
    """
    commit = repository.current_commit()
    if dirty == REFUSE and commit.dirty:
        raise LineageError(
            "the tree has uncommitted changes, and register.dirty is refuse: commit them, or set it to "
            "record, which keeps the changes with the version"
        )
    code_lock.check()
    code_lock.check_pins()
    if changed := repository.stale():
        raise LineageError(
            f"not up to date: {', '.join(changed)}; run `dvc repro` (or `headstart run`) first, so that "
            "what is registered is what this code, data and params make"
        )
    repository.check_recordable(commit)
    client = tracking.connect()
    digest = repository.lock_digest()
    with tracking.translated("register"):
        found = versions.find(client, name, digest)
        is_new = found is None
        if found is None:
            with _run(client, experiment, run_id) as opened:
                model, tags = _record(client, opened, digest, commit, params, package)
                found = _number(client, name, opened, model, tags, say)
        elif run_id is not None:
            client.set_tag(run_id, "headstart.same_as", f"models:/{name}/{found.version}")
        versions.mark_champion(client, name)
        aliases = versions.aliases_of(client, name, found)
    is_settled = found.tags.get(versions.STATE_TAG) == versions.COMPLETE
    return Registered(name, str(found.version), aliases, str(found.run_id), is_new, is_settled)


@contextmanager
def _run(client: MlflowClient, experiment: str, given: str | None) -> Iterator[str]:
    """The run that is given, or one that is opened here and ends with this block."""
    if given is not None:
        yield given
        return
    opened = str(client.create_run(trainings.id_of(client, experiment)).info.run_id)
    try:
        yield opened
    except BaseException as error:
        with suppress(TrackingError):  # a server that went away hides no other error
            tracking.end_run(opened, failed=f"{type(error).__name__}: {error}")
        raise
    client.set_terminated(opened, "FINISHED")


def _record(
    client: MlflowClient,
    run_id: str,
    digest: str,
    commit: repository.Commit,
    params: Mapping[str, Any],
    package: str,
) -> tuple[ModelInfo, dict[str, str]]:
    """Log the record and the model in the run; return the model, and the tags of its version."""
    metrics = read_headline()
    head = checkpoint.metadata(paths.HEAD, checkpoint.HEAD)
    _log_params(client, run_id, params)
    run_metrics.log_test(client, run_id, metrics)
    run_metrics.log_epochs(client, run_id)
    _log_tags(client, run_id, commit, digest, head)
    _log_files(client, run_id, commit)
    client.log_dict(run_id, dict(params), f"{record.RECORD}/{record.SETTINGS}")
    run_page.log_plots(client, run_id)
    _describe(client, run_id, metrics, head, params["evaluate"]["confidence"])
    _log_dataset(client, run_id, commit)
    _check_record(client, run_id)
    model, is_stored_now = _log_model(client, run_id, package)
    _probe(model.model_uri, is_stored_now)
    tags = {
        versions.LOCK_TAG: digest,
        versions.HEAD_TAG: head["digest"],
        versions.FILE_TAG: stored_model.file_digest(paths.HEAD),
        "backbone": "random" if head["backbone"]["random"] else head["backbone"]["source"],
        announcement.GATE_TAG: announcement.PENDING,
    }
    return model, tags


def _number(
    client: MlflowClient,
    name: str,
    run_id: str,
    model: ModelInfo,
    tags: dict[str, str],
    say: Callable[[str], object],
) -> ModelVersion:
    """Make the version, with a number that is free in git too.

    Another worktree or an earlier database may have given the number to another version, which
    `refs/versions/NAME/NUMBER` still names; then the next one is taken.

    Raises:
        LineageError: the server gives the same number again.
    """
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=_model_description())
    last = 0
    while True:
        made = client.create_model_version(
            name,
            model.model_uri,
            run_id=run_id,
            model_id=model.model_id,  # a server refuses a source without it
            tags=tags,
            description=announcement.NEXT,
        )
        number = int(made.version)
        other = repository.run_of_version(name, str(number))
        if other in (None, run_id):
            return made
        client.delete_model_version(name, str(number))
        taken = f"refs/versions/{name}/{number} names run {other}, of another tracking database"
        if number <= last:
            raise LineageError(
                f"{taken}, and {tracking.server_name()} has no other number for run {run_id}; use the "
                f"database that made it, or give it up by `git update-ref -d refs/versions/{name}/{number}`"
            )
        say(f"{taken}: number {number} is left out")
        last = number


def _log_params(client: MlflowClient, run_id: str, params: Mapping[str, Any]) -> None:
    flat = {f"{section}.{key}": value for section, keys in params.items() for key, value in keys.items()}
    client.log_batch(run_id, params=[Param(key, as_param(value)) for key, value in flat.items()])


def _describe(
    client: MlflowClient, run_id: str, metrics: Mapping[str, Any], head: Mapping[str, Any], confidence: float
) -> None:
    """Log the trials of a sweep, and describe the run."""
    experiment = client.get_run(run_id).info.experiment_id
    trials = run_metrics.log_trials(client, run_id)
    note = run_page.run_note(experiment, run_id, metrics, head, confidence, trials)
    client.set_tag(run_id, tracking.NOTE_TAG, note)


def _log_tags(
    client: MlflowClient,
    run_id: str,
    commit: repository.Commit,
    digest: str,
    head: dict[str, Any],
) -> None:
    tags = {
        "mlflow.source.git.commit": commit.commit,
        "mlflow.source.git.branch": commit.branch,
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "dvc.yaml",
        "headstart.dirty": str(commit.dirty).lower(),
        "headstart.commit_on_remote": str(commit.on_remote).lower(),
        "headstart.data": repository.data_version(),
        versions.LOCK_TAG: digest,
        f"headstart.{versions.HEAD_TAG}": head["digest"],
        f"headstart.{versions.FILE_TAG}": stored_model.file_digest(paths.HEAD),
        "headstart.backbone": head["backbone"]["digest"],
        record.VERSION_TAG: __version__,
        record.INIT_TAG: head["init"] or "none",
        record.FOLDER_TAG: commit.folder,
        "headstart.backbone_source": head["backbone"]["source"],
    }
    for key, value in tags.items():
        client.set_tag(run_id, key, value)


def _log_files(client: MlflowClient, run_id: str, commit: repository.Commit) -> None:
    for path in (repository.LOCK, repository.PIPELINE, paths.PARAMS, paths.MANIFEST):
        client.log_artifact(run_id, str(path), record.RECORD)
    for path in repository.versioned_files():  # at their places
        client.log_artifact(run_id, str(path), (Path(record.RECORD) / path.parent).as_posix())
    for path in sorted(paths.ENVIRONMENTS.glob("*.json")):
        client.log_artifact(run_id, str(path), f"{record.RECORD}/environment")
    client.log_artifact(run_id, str(paths.PREDICTIONS), record.RESULTS)
    for path in REPORTS:
        client.log_artifact(run_id, str(path), record.REPORTS)
    if overview.has_current_pages():
        client.log_artifacts(run_id, str(paths.DATA_DOCS), f"{record.REPORTS}/{paths.DATA_DOCS.name}")
    if commit.diff:
        with tempfile.TemporaryDirectory() as folder:  # as bytes: a patch holds any
            (Path(folder) / record.DIFF).write_bytes(commit.diff)
            client.log_artifact(run_id, f"{folder}/{record.DIFF}", record.RECORD)
    client.log_dict(run_id, _shared_files(client, commit), f"{record.RECORD}/shared.json")


def _check_record(client: MlflowClient, run_id: str) -> None:
    """Read the record back from the server.

    Raises:
        TrackingError: it lacks something without which the version could not be made again.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = record.open_record(f"runs:/{run_id}", Path(folder))
        found.check()
        for name in load_json(found.file("shared.json"), record.AGAIN):
            found.shared_file(name, Path(folder) / name)


def _shared_files(client: MlflowClient, commit: repository.Commit) -> dict[str, dict[str, str]]:
    """Store what versions of one environment and one commit have in common; where each file is kept."""
    lock = hashlib.sha256(paths.LOCK.read_bytes()).hexdigest()
    kept = {
        paths.LOCK.name: (
            f"lock {lock}",
            f"{paths.LOCK.name} {lock[:12]}",
            lambda path: shutil.copyfile(paths.LOCK, path),
        ),
    }
    if not has_code(Path()):
        package = package_archive.digest()
        kept[package_archive.NAME] = (f"package {package}", f"headstart {__version__}", package_archive.write)
    if not commit.is_lasting and not commit.is_shallow:
        kept["commit.bundle"] = (f"commit {commit.commit}", f"commit {commit.commit[:12]}", repository.bundle)
    return {
        name: {"key": key, "run_id": shared.keep(client, key, title, {name: write}).run_id}
        for name, (key, title, write) in kept.items()
    }


def _log_dataset(client: MlflowClient, run_id: str, commit: repository.Commit) -> None:
    validation = load_json(paths.VALIDATION)
    source = DvcSource(path="data", md5=repository.data_version(), commit=commit.commit)
    with mlflow.start_run(run_id=run_id):
        mlflow.log_input(ImageFolder(source, validation["classes"]), context="training")


def _log_model(client: MlflowClient, run_id: str, package: str) -> tuple[ModelInfo, bool]:
    """Store the package: the code, the trained tensors, and the frozen ones or what refers to them.

    Returns:
        The logged model, and whether frozen tensors were sent to the server now.
    """
    sent = False
    names = frozen.frozen_names(checkpoint.metadata(paths.HEAD, checkpoint.HEAD))
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {"head": str(_materialized(paths.HEAD, Path(folder)))}
        if package == FULL:
            artifacts["backbone"] = f"{folder}/backbone.safetensors"
            tensors = frozen_tensors(paths.BACKBONE, names)
            checkpoint.save(Path(artifacts["backbone"]), tensors, checkpoint.metadata(paths.BACKBONE))
        else:
            artifacts["frozen"] = f"{folder}/frozen.json"
            sent = frozen.keep_frozen(client, paths.BACKBONE, names, Path(artifacts["frozen"]))
        code = Path(folder) / "headstart"
        _copy_served_code(code)
        logged = _log_python_model(
            run_id, python_model=served_model.__file__, artifacts=artifacts, code_paths=[str(code)]
        )
    return logged, sent


def _log_python_model(run_id: str, **parts: Any) -> ModelInfo:
    """Log a model with the signature, and with an image as its example of an input."""
    with mlflow.start_run(run_id=run_id):
        logged: ModelInfo = Model.log(
            artifact_path=None,
            name="model",
            flavor=_Unchecked,
            flavor_name="pyfunc.ModelFromCode",
            validate_serving_input=False,
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in PINNED],
            signature=signature(),
            input_example=_example(),
            **parts,
        )
    return logged


class _Unchecked:
    """MLflow's flavor of Python models, without its check of the example.

    That would load the model in this process, with this tree's code; `_probe` loads it in a fresh one.
    """

    @staticmethod
    def save_model(validate_serving_input: bool, **settings: Any) -> None:
        mlflow.pyfunc.save_model(**settings)


def _example() -> pd.DataFrame:
    """A request with one grey image."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(file, "PNG")
    return pd.DataFrame({"image": [base64.b64encode(file.getvalue()).decode()]})


def _materialized(path: Path, folder: Path) -> Path:
    """The file, or a copy in the folder if DVC made it a link to its cache: MLflow stores no links."""
    return Path(shutil.copyfile(path, folder / path.name)) if path.is_symlink() else path


def _copy_served_code(folder: Path) -> None:
    """The part of the package that an answer needs, and no more: it is stored with every version."""
    for within, path in packed_files().items():
        (folder / within).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / within)


def _probe(uri: str, is_stored_now: bool) -> None:
    """Load the stored model in a fresh process and compare its answers with what evaluate wrote.

    Frozen tensors that were sent now are fetched from the server again, past this machine's cache.

    Raises:
        TrackingError: it does not load, runs other code, or answers otherwise.
    """
    expected = load_table(paths.PREDICTIONS).groupby("label").head(PROBED // 2).head(PROBED)
    files = [str((paths.DATA / path).absolute()) for path in expected["path"]]
    stored = stored_model.fetch(uri)
    with (
        tempfile.TemporaryDirectory() as empty,
        ModelProcess(stored, cache=Path(empty) if is_stored_now else None) as process,
    ):
        _compare(expected, process.ask(files))


def _compare(expected: pd.DataFrame, answers: Sequence[Answer]) -> None:
    for row, answer in zip(expected.to_dict(orient="records"), answers, strict=True):
        found = answer.probabilities
        if found is None:
            raise TrackingError(f"the stored model does not answer for {row['path']}: {answer.error}")
        gap = max(abs(found[name] - row[f"probability:{name}"]) for name in found)
        if gap > TOLERANCE:
            raise TrackingError(
                f"the stored model and evaluate differ on {row['path']}: probabilities by {gap:.2g}, "
                f"expected at most {TOLERANCE:g}; it was not registered"
            )


def _model_description() -> str:
    return (
        "A new head on a frozen VGG, made by Headstart. Aliases decide what is used: `challenger` is the "
        "last version that passed the gate, `champion` is the one in production. To promote a version, "
        "open it and set its alias with the small pencil beside *Aliases*; the big button only copies it."
    )
