"""A run's record in MLflow: everything needed to reproduce its results."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from headstart import repository
from headstart.errors import TrackingError
from headstart.ground import paths
from headstart.ground.reading import load_json
from headstart.pipeline.evaluation.figures import read_classes, read_headline
from headstart.pipeline.evaluation.metrics import ClassMetrics
from headstart.repository.results import read_yaml
from headstart.versions.registry import shared, tracking, versions
from headstart.versions.registry.uri import ModelUri

RECORD, RESULTS, REPORTS = "record", "results", "reports"
MANIFEST = "manifest.parquet"
SETTINGS = "settings.json"
DIFF = "uncommitted.diff"
AGAIN = "this file of the version's record was damaged on the tracking server: register the results again"
NEEDED = ("dvc.lock", "dvc.yaml", "data.dvc", "params.yaml", "shared.json", MANIFEST)
LATER = (paths.INTERVALS, paths.CLASSES)  # earlier versions have these figures in metrics.json
REF_TAG = "headstart.ref"
FOLDER_TAG = "headstart.folder"
VERSION_TAG = "headstart.package_version"  # of Headstart itself
INIT_TAG = "headstart.init"  # digest of the head that training started from, or `none`


@dataclass(frozen=True)
class Record:
    """A run's record, downloaded to this machine.

    Attributes:
        name: `models:/NAME/VERSION`, or `runs:/ID` if a run was asked for.
        version: the registered version, if one was named.
        aliases: the version's current aliases.
        folder: holds `record/`, `results/` and `reports/` as they are on the server.
    """

    name: str
    run: Run
    version: ModelVersion | None
    aliases: tuple[str, ...]
    folder: Path

    @property
    def run_id(self) -> str:
        return str(self.run.info.run_id)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.run.data.tags)

    @property
    def commit(self) -> str:
        return self.tags["mlflow.source.git.commit"]

    @property
    def place(self) -> str:
        """The project's folder in the commit; "." for the root, as it was before this was recorded."""
        return self.tags.get(FOLDER_TAG, ".")

    @property
    def lock(self) -> dict[str, Any]:
        return read_yaml(self.file("dvc.lock"))

    @property
    def stages(self) -> list[str]:
        """The stages in the order they ran."""
        return list(read_yaml(self.file("dvc.yaml"))["stages"])

    @property
    def params(self) -> dict[str, Any]:
        """The values that were used, defaults of keys that params.yaml lacks included.

        A version from before keys had defaults has them all in its params.yaml.
        """
        path = self.file(SETTINGS)
        if not path.exists():
            return read_yaml(self.file("params.yaml"))
        found: dict[str, Any] = load_json(path, AGAIN)
        return found

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures over all classes, with their intervals, as `read_headline` returns them."""
        return read_headline(self.folder / REPORTS, AGAIN)

    @property
    def classes(self) -> dict[str, ClassMetrics]:
        """The figures of each class."""
        return read_classes(self.folder / REPORTS, AGAIN)

    @property
    def validation(self) -> dict[str, Any]:
        found: dict[str, Any] = load_json(self.folder / REPORTS / paths.VALIDATION.name, AGAIN)
        return found

    @property
    def data_figures(self) -> dict[str, Any]:
        """The numbers of stage inspect; empty for a version from before that stage."""
        path = self.folder / REPORTS / paths.DATA_FIGURES.name
        found: dict[str, Any] = load_json(path, AGAIN) if path.exists() else {}
        return found

    @property
    def predictions(self) -> Path:
        return self.folder / RESULTS / paths.PREDICTIONS.name

    @property
    def diff(self) -> bytes:
        path = self.file(DIFF)
        return path.read_bytes() if path.exists() else b""

    @property
    def environments(self) -> dict[str, dict[str, Any]]:
        """The environment that each stage ran in, by stage."""
        files = sorted(self.file("environment").glob("*.json"))
        return {path.stem: load_json(path, AGAIN) for path in files}

    @property
    def packages(self) -> str:
        """SHA-256 of the recorded requirements.lock."""
        kept = load_json(self.file("shared.json"), AGAIN)[paths.LOCK.name]
        return str(kept["key"]).partition(" ")[2]

    def file(self, name: str) -> Path:
        """Path of a file of the record."""
        return self.folder / RECORD / name

    def tree_files(self) -> dict[str, Path]:
        """The recorded files that belong in a working tree, by their path there."""
        return tree_files(self.folder / RECORD)

    def shared_file(self, name: str, path: Path) -> bool:
        """Fetch a file that versions share, such as `requirements.lock` or `commit.bundle`.

        Returns:
            False if this run has no such file.

        Raises:
            TrackingError: the server has lost it, or holds a different file than the one recorded.
        """
        kept = load_json(self.file("shared.json"), AGAIN).get(name)
        if kept is None:
            return False
        with tracking.translated(f"fetch {name} ({kept['key']})"):
            shared.fetch(MlflowClient().get_run(kept["run_id"]), [name], path.parent)
        (path.parent / name).replace(path)
        kind, _, digest = kept["key"].partition(" ")
        if kind in ("lock", "package") and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise TrackingError(f"{name} on {tracking.server_name()} is not the one that was recorded")
        return True

    def check(self) -> None:
        """Check the record against its own digests.

        Raises:
            TrackingError: the record was changed after it was made.
        """
        if (found := repository.digest_of(self.lock)) != self.tags.get(versions.LOCK_TAG):
            raise TrackingError(
                f"{self.name}: record/dvc.lock has digest {found[:12]}, not the one of its tag "
                f"{versions.LOCK_TAG}: the record was changed after it was made"
            )
        outs = recorded_outs(self.lock)
        figures = (paths.METRICS, paths.HISTORY, *(path for path in LATER if str(path) in outs))
        stored = {str(paths.PREDICTIONS): self.predictions} | {
            str(path): self.folder / REPORTS / path.name for path in figures
        }
        for name, path in stored.items():
            if not path.is_file():
                raise TrackingError(
                    f"{self.name}: its record lacks {path.relative_to(self.folder)}, which its dvc.lock names"
                )
            if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != outs[name]:
                raise TrackingError(
                    f"{self.name}: the stored {path.relative_to(self.folder)} is not what its dvc.lock "
                    "names: it was changed after it was recorded"
                )


def recorded_outs(lock: Mapping[str, Any]) -> dict[str, str]:
    """Path to md5 of every out in a dvc.lock."""
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}


def tree_files(folder: Path) -> dict[str, Path]:
    """The files of a folder `record/` that belong in a working tree, by their path there.

    These are dvc.lock, dvc.yaml, params.yaml and the .dvc files.
    """
    names = ("dvc.lock", "dvc.yaml", "params.yaml")
    files = [*(folder / name for name in names), *folder.rglob("*.dvc")]
    return {path.relative_to(folder).as_posix(): path for path in files if path.exists()}


def open_record(source: str, folder: Path) -> Record:
    """Download the record of a version or run.

    Args:
        source: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/ID` or a run's id.
        folder: the folder to download into.

    Raises:
        TrackingError: MLflow is unreachable, has no such version or run, or the run has no record.
    """
    client = tracking.connect()
    with tracking.translated(f"fetch the record of {source}"):
        version = None
        aliases: tuple[str, ...] = ()
        uri = ModelUri.parse(source)
        if uri.run_id is not None:
            run_id, name = uri.run_id, f"runs:/{uri.run_id}"
        else:
            version = uri.version(client)
            run_id, name = str(version.run_id), str(ModelUri.of(version))
            aliases = versions.aliases_of(client, version.name, version)
        run = client.get_run(run_id)
        for part in (RECORD, RESULTS, REPORTS):
            if client.list_artifacts(run_id, part):
                mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=part, dst_path=str(folder))
    record = Record(name, run, version, aliases, folder)
    if lacking := missing(folder):
        raise TrackingError(
            f"{name}: its record lacks {', '.join(lacking)}; was it registered by another program?"
        )
    return record


def missing(folder: Path) -> list[str]:
    """The files that a downloaded record lacks to reproduce the results."""
    needed = [
        *(f"{RECORD}/{name}" for name in NEEDED),
        f"{RESULTS}/{paths.PREDICTIONS.name}",
        f"{REPORTS}/{paths.METRICS.name}",
        f"{REPORTS}/{paths.HISTORY.name}",
    ]
    return [name for name in needed if not (folder / name).is_file()]


def all_versions(client: MlflowClient) -> Iterator[ModelVersion]:
    """Every version of any model on the server that was registered by Headstart."""
    token = None
    while True:
        found = client.search_model_versions(max_results=1000, page_token=token)
        yield from (version for version in found if versions.LOCK_TAG in version.tags)
        token = found.token
        if not token:
            return


def head_of_version(digest: str) -> ModelVersion | None:
    """The first version whose head has this digest: the parent of a version trained further from it."""
    for version in sorted(all_versions(tracking.connect()), key=lambda found: int(found.creation_timestamp)):
        if version.tags.get(versions.HEAD_TAG) == digest:
            return version
    return None


def download_tree_files(run_id: str, folder: Path) -> dict[str, Path]:
    """Download the record of a run; return the files that belong in a working tree, by their path there.

    Returns:
        Nothing if the run was removed for good (`mlflow gc`), or its record was.
    """
    folder.mkdir()
    client = tracking.connect()
    try:
        if not client.list_artifacts(run_id, RECORD):
            return {}
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=RECORD, dst_path=str(folder))
    return tree_files(folder / RECORD)


def runs_to_keep() -> dict[str, str]:
    """Names by run id: the runs of all versions, and of former champions whose version was deleted.

    Raises:
        TrackingError: the server is unreachable, or does not answer.
    """
    client = tracking.connect()
    with tracking.translated("list the runs to keep"):
        return _runs_to_keep(client)


def _runs_to_keep(client: MlflowClient) -> dict[str, str]:
    found = list(all_versions(client))
    runs = {str(version.run_id): f"models:/{version.name}/{version.version}" for version in found}
    experiments = [
        experiment.experiment_id for experiment in client.search_experiments(view_type=ViewType.ALL)
    ]
    query = f"tags.`headstart.{versions.CHAMPION_TAG}` = 'yes'"
    token = None
    while True:
        page = client.search_runs(experiments, query, run_view_type=ViewType.ALL, page_token=token)
        for run in page:
            runs.setdefault(str(run.info.run_id), f"runs:/{run.info.run_id} (once champion)")
        token = page.token
        if not token:
            return runs


def mark_champions() -> None:
    """Tag the runs of all current champions, so that they are kept even if their versions are deleted."""
    client = tracking.connect()
    for name in {version.name for version in all_versions(client)}:
        versions.mark_champion(client, name)
