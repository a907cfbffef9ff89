"""Files that many versions need, stored once per tracking server and found by their content."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from headstart.versions.registry import tracking

EXPERIMENT = "headstart-shared"
KEY_TAG = "headstart.shared"
DESCRIPTION = """\
Files that many registered versions need, each stored once: a run here is no training but keeps them.

- **backbone**: the frozen layers of a network. **commit**: the code of versions whose commit is on no git
  remote. **package**: the installed Headstart that a project runs, if it does not hold the code itself.
  **requirements.lock**: the exact versions of all libraries.
- Deleting this experiment, or a run in it, breaks the versions that need its files.
"""
NOTE = "Files that registered versions share. Deleting this run breaks the versions that name it.\n"


@dataclass(frozen=True)
class Kept:
    """The MLflow run that keeps the files, and the names of those uploaded just now."""

    run_id: str
    sent: tuple[str, ...]


def keep(client: MlflowClient, key: str, title: str, files: Mapping[str, Callable[[Path], object]]) -> Kept:
    """Store the files that are not on the server yet.

    Args:
        key: identifies the files, such as `backbone 573bd7c5...`.
        title: name of the run, for people.
        files: by file name, a function that writes the file to a path.
    """
    found = find(client, key)
    if found is None:
        experiment = tracking.experiment_id(client, EXPERIMENT, DESCRIPTION)
        tags = {KEY_TAG: key, "mlflow.runName": title, "mlflow.note.content": NOTE}
        found = client.create_run(experiment, tags=tags)
    run_id, tags = str(found.info.run_id), found.data.tags
    sent = [name for name in files if f"kept.{name}" not in tags]
    for name in sent:
        with tempfile.TemporaryDirectory() as folder:
            files[name](Path(folder) / name)
            client.log_artifact(run_id, f"{folder}/{name}")
        client.set_tag(run_id, f"kept.{name}", "yes")  # only now: an interrupted upload is repeated
    client.set_terminated(run_id, "FINISHED")
    return Kept(run_id, tuple(sent))


def find(client: MlflowClient, key: str) -> Run | None:
    """The run that keeps the files of `key`; None if the server has none."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    query = f"tags.`{KEY_TAG}` = '{key}'"
    found = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"])
    return found[0] if found else None


def fetch(run: Run, names: Iterable[str], folder: Path) -> None:
    """Download named files into a folder; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for name in names:
            mlflow.artifacts.download_artifacts(
                run_id=run.info.run_id, artifact_path=name, dst_path=temporary
            )
            (Path(temporary) / name).replace(folder / name)
