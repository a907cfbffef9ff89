"""The experiment of the trainings, with the description that MLflow shows above its runs."""

from collections.abc import Mapping

from mlflow.tracking import MlflowClient

from headstart.versions.registry import tracking

NOTE = """\
Each run is one training by Headstart: a new head on a frozen VGG, made by the stages in `dvc.yaml`.

- **Model metrics** of a run: the section `epoch` has the curves of loss and accuracy, also while a long
  training lasts; `gate` the figures of the gate, `test` those of the test split with both ends of their
  intervals.
- **Artifacts** of a run: `reports/report.html`, its plots as PNG in `reports/plots`, the table
  `reports/classes.csv` with one row per class, and `record/`, which has all that is needed to make the
  version again.
- The name of a run starts with the gate's verdict on its version; the run's own name follows in parentheses.
- A run that **failed** has the reason as its tag `headstart.failure`.
- Runs inside a run are the trials of a sweep.
"""


def id_of(client: MlflowClient, name: str) -> str:
    """The experiment's id; see `tracking.experiment_id`. A description that someone wrote stays."""
    return tracking.experiment_id(client, name, NOTE)


def open_run(name: str, tags: Mapping[str, str]) -> str:
    """Start a run in the experiment and return its id.

    Raises:
        TrackingError: MLflow is unreachable or refuses.
    """
    client = tracking.connect()
    with tracking.translated("open a run"):
        return str(client.create_run(id_of(client, name), tags=dict(tags)).info.run_id)
