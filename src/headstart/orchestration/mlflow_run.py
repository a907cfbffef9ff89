"""The MLflow run that records a flow run: opened first, ended with the flow, even if the flow fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.runtime import flow_run

from headstart import repository
from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.orchestration.tasks import log
from headstart.versions.release.run_name import own_name


class RecordedRun:
    """A run that is opened as soon as MLflow answers; the stages do not need the server."""

    def __init__(self) -> None:
        self._id = _open()

    @property
    def id(self) -> str | None:
        """The run's id; None while MLflow is unreachable."""
        if self._id is None:
            self._id = _open()
        return self._id

    def end(self, failure: str | None) -> None:
        """End the run, with the reason if the flow failed."""
        try:
            _keep(self._id)
        finally:
            _close(self._id, failure)


@contextmanager
def recorded_run() -> Iterator[RecordedRun]:
    """Context manager for a run that ends with the block: FINISHED, or FAILED with the error."""
    run = RecordedRun()
    try:
        yield run
    except BaseException as error:
        run.end(f"{type(error).__name__}: {error}")
        raise
    run.end(None)


def _open() -> str | None:
    """Open the MLflow run that records this flow run; return None if MLflow is unreachable.

    The stages do not need the server, so they run anyway; registration reports the failure at the end.
    """
    from headstart.errors import TrackingError
    from headstart.params import load_params
    from headstart.versions.release import experiment

    settings = load_params(paths.PARAMS).register_
    commit = repository.current_commit()
    own = own_name(str(flow_run.get_name() or ""))  # Prefect's context keeps the name of before a retry
    tags = {
        "mlflow.source.git.commit": commit.commit,
        "headstart.flow_run": str(flow_run.get_id() or ""),
        "headstart.flow_run_name": own,
        "mlflow.runName": own or "training",
    }
    try:
        return experiment.open_run(settings.experiment, tags)
    except TrackingError as error:
        get_run_logger().warning("%s", error)
        return None


def _keep(run_id: str | None) -> None:
    """Keep dvc.lock under `refs/runs/`, even for a failed run; an error here is logged and hides no other."""
    from headstart.params import load_params
    from headstart.versions.provenance import keeping

    if run_id is None:
        return
    try:
        keeping.keep_run(run_id, load_params(paths.PARAMS).repository, log)
    except HeadstartError as error:
        get_run_logger().error("%s", error)


def _close(run_id: str | None, failure: str | None) -> None:
    """End the MLflow run; if the server is gone, that is logged and hides no other error."""
    from headstart.errors import TrackingError
    from headstart.versions.registry import tracking

    if run_id is None:
        return
    try:
        left = [
            path for path in (repository.LOCK, paths.PARAMS, *repository.versioned_files()) if path.exists()
        ]
        tracking.end_run(run_id, failed=failure, files=left)
    except TrackingError as error:
        get_run_logger().error("%s", error)
