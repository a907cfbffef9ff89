"""The tracking server: its address, whether it answers, and the run that a flow opens there."""

import logging
import os
import re
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import mlflow
import sqlalchemy
from filelock import FileLock
from mlflow.entities import Run, RunStatus, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from headstart.errors import TrackingError, TrackingUnreachable, without_password
from headstart.ground.files import replacing
from headstart.host.ports import reach
from headstart.versions.registry.relocation import follow_project

FOLDER = Path("mlflow")
ARTIFACTS = "artifacts"
DATABASE = "mlflow.db"  # in the project's folder; the default of MLflow itself has the same name
FAILURE_TAG = "headstart.failure"
NOTE_TAG = "mlflow.note.content"
RUN_ID = re.compile(r"[0-9a-f]{32}")
AT_ONCE = 200  # runs asked about in one query
SETTINGS = threading.RLock()  # MLflow's address holds for the whole process
# of the project whose database is used; None outside of projects
ROOT: ContextVar[Path | None] = ContextVar("ROOT", default=Path())


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or else the SQLite database in the project's folder `mlflow/`.

    Outside of projects it is MLflow's own default instead: a store in the working folder, if there is one.

    Raises:
        TrackingError: there is no project, and nothing names a store.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _default_uri()
    if uri is None:
        raise TrackingError(
            "nothing says where the versions are: set MLFLOW_TRACKING_URI to the address of their tracking "
            "server, such as http://127.0.0.1:5000, or change to the project whose database has them"
        )
    return uri


def has_store() -> bool:
    """Whether anything names a tracking server or database to ask."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or _default_uri() is not None


def _default_uri() -> str | None:
    """The project's own database; outside of projects the store that MLflow takes by itself, if it exists."""
    if (own := _own_folder()) is not None:
        return f"sqlite:///{own / DATABASE}"
    if (found := mlflow.get_tracking_uri()).startswith("file:"):  # `mlruns`, only if it holds experiments
        return str(found)
    database = Path(DATABASE).resolve()
    return f"sqlite:///{database}" if database.exists() and database.stat().st_size else None


def _own_folder() -> Path | None:
    """The project's folder `mlflow/`, absolute; None outside of projects."""
    root = ROOT.get()
    return None if root is None else (root / FOLDER).resolve()


def connect() -> MlflowClient:
    """Return a client, after checking that the tracking server answers.

    Raises:
        TrackingError: the server is unreachable, or nothing names one.
    """
    uri = tracking_uri()
    if ROOT.get() is None:
        _check_exists(uri)
    if uri.startswith("http"):
        _check_reachable(uri)
    elif uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        _make_database(database)
        own = _own_folder()
        if own is not None and database.resolve() == own / DATABASE:
            with translated("open the database"):
                follow_project(database, own / ARTIFACTS)
    elif uri.startswith("postgresql"):
        _make_tables(uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient(uri, uri)


@contextmanager
def in_project(root: Path | None) -> Iterator[None]:
    """Use the server that MLFLOW_TRACKING_URI names, or else the database of the project at `root`.

    Afterwards MLflow's settings are what they were. They hold for the whole process, so one thread at a time
    gets here; others wait.

    Args:
        root: absolute; None outside a project: nothing is created, and no server need be named.
    """
    with SETTINGS:
        before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
        own = ROOT.set(root)
        try:
            if has_store():
                mlflow.set_tracking_uri(tracking_uri())
            yield
        finally:
            ROOT.reset(own)
            tracking, registry = before.values()
            mlflow.set_tracking_uri(tracking)  # type: ignore[arg-type]  # None forgets it
            mlflow.set_registry_uri(registry)  # type: ignore[arg-type]
            if registry is None:
                os.environ.pop("MLFLOW_REGISTRY_URI", None)


def is_shared() -> bool:
    """Whether a server numbers the versions for all its users, rather than a file on this machine."""
    return tracking_uri().startswith("http")


def server_name() -> str:
    """The address of this process's tracking server, without any password in it."""
    return without_password(mlflow.get_tracking_uri())


def page(place: str) -> str:
    """The address of one of the server's pages, such as `models/NAME/versions/1`."""
    return f"{server_name().rstrip('/')}/#/{place}"


def artifacts_page(experiment: str, run_id: str) -> str:
    """The page of a run's artifacts as a link within MLflow's pages; `/PATH` after it opens a file."""
    return f"#/experiments/{experiment}/runs/{run_id}/artifacts"


def experiment_id(client: MlflowClient, name: str, note: str = "") -> str:
    """The experiment's id; the experiment is created if it does not exist.

    Args:
        note: the description of an experiment that has none yet.

    Raises:
        TrackingError: the experiment was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            tags = {NOTE_TAG: note} if note else {}
            return str(client.create_experiment(name, _artifact_location(), tags))
        except MlflowException as error:  # another process was first
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
            assert found is not None
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"register.experiment: {name!r} is deleted in MLflow; restore it there or use another name"
        )
    if note and NOTE_TAG not in found.tags:
        client.set_experiment_tag(found.experiment_id, NOTE_TAG, note)
    return str(found.experiment_id)


def end_run(run_id: str, *, failed: str | None, files: Sequence[Path] = ()) -> None:
    """End a run as FINISHED, or as FAILED with the reason as a tag and `files` uploaded under record/."""
    client = connect()
    with translated("end the run"):
        if failed is not None:
            client.set_tag(run_id, FAILURE_TAG, without_password(failed)[:5000])
            for path in files:
                client.log_artifact(run_id, str(path), "record")
        status = RunStatus.FAILED if failed is not None else RunStatus.FINISHED
        client.set_terminated(run_id, RunStatus.to_string(status))


def forget_failure(run_id: str) -> None:
    """Mark a failed run that has its version after all as FINISHED, and remove the tag with the reason."""
    client = connect()
    with translated("end the run"):
        if FAILURE_TAG in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, FAILURE_TAG)
            client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))


def set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run."""
    client = connect()
    with translated("set tags"):
        for name, value in tags.items():
            client.set_tag(run_id, name, value)


def begun_before(run_ids: Collection[str], seconds: float) -> set[str]:
    """Those of some runs, deleted ones included, that the server knows and that began before a time.

    Args:
        seconds: since 1970.

    Raises:
        TrackingError: the server is unreachable.
    """
    if not run_ids:
        return set()
    client = connect()
    with translated("look up when runs began"):
        return set(find_runs(client, run_ids, f"attributes.start_time < {seconds * 1000:.0f}"))


def find_runs(client: MlflowClient, run_ids: Collection[str], condition: str = "") -> dict[str, Run]:
    """Those of some runs that the server knows, deleted ones included, by their IDs.

    Args:
        condition: a term of MLflow's filter that they must meet as well.
    """
    found: dict[str, Run] = {}
    wanted = sorted(run_id for run_id in run_ids if RUN_ID.fullmatch(run_id))
    every = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    for start in range(0, len(wanted), AT_ONCE):
        among = ", ".join(f"'{run_id}'" for run_id in wanted[start : start + AT_ONCE])
        query = " and ".join(filter(None, (f"attributes.run_id IN ({among})", condition)))
        page = client.search_runs(every, query, ViewType.ALL, max_results=AT_ONCE)
        found |= {str(run.info.run_id): run for run in page}
    return found


def keep_text(run_id: str, text: str, name: str) -> None:
    """Store a text file as an artifact of a run."""
    client = connect()
    with translated(f"store {name}"):
        client.log_text(run_id, text, name)


class translated:
    """Context manager that turns MLflow's errors into ours and adds what was being done."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MlflowException | sqlalchemy.exc.SQLAlchemyError | sqlite3.Error | OSError):
            kind = TrackingUnreachable if _is_unreachable(error) else TrackingError
            said = f"cannot {self._what} at {tracking_uri()}: {error}"
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                said += ". `headstart run` makes versions; set MLFLOW_TRACKING_URI to use another server"
            raise kind(said) from error


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether a connection error is the root cause; MLflow wraps those of its HTTP client."""
    while error is not None:
        if isinstance(error, OSError | sqlalchemy.exc.OperationalError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _check_reachable(uri: str) -> None:
    try:
        reach(uri)
    except OSError as error:
        raise TrackingUnreachable(
            f"MLflow does not answer at {uri} ({error}); start it (`make ui`) or correct "
            "MLFLOW_TRACKING_URI, then run the same command again: the results of finished stages are kept"
        ) from error


def _check_exists(uri: str) -> None:
    """Refuse a local store that is not there: MLflow would make an empty one.

    Raises:
        TrackingError: there is no such database or folder.
    """
    if uri.startswith("sqlite:///"):
        place = Path(uri.removeprefix("sqlite:///"))
    elif is_local_uri(uri):
        place = Path(local_file_uri_to_path(uri))
    else:
        return
    if not place.exists():
        raise TrackingError(f"MLFLOW_TRACKING_URI is {uri}, but there is no {place}; correct the address")


def _make_database(path: Path) -> None:
    """Create the SQLite database under a lock: two processes doing so at once would break it."""
    if path.exists():  # whole, and perhaps on a read-only mount
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")), translated("open the database"):
        if path.exists():
            return
        with replacing(path, 0o600) as new:  # it holds addresses and secrets of webhooks
            engine = sqlalchemy.create_engine(f"sqlite:///{new}")
            try:
                _create_tables(engine)
            finally:
                engine.dispose()


def _make_tables(uri: str) -> None:
    """Create the tables of an empty PostgreSQL database, under a lock.

    An older schema is left alone: the server asks for `mlflow db upgrade`, and that needs a backup first.
    """
    if not uri.startswith("postgresql+psycopg2://"):
        raise TrackingError(f"{uri}: write postgresql+psycopg2://, which names the driver that is installed")
    with translated("open the database"):
        engine = sqlalchemy.create_engine(uri)
        try:
            with engine.connect() as alone:  # the lock is released with the connection
                alone.execute(sqlalchemy.text("SELECT pg_advisory_lock(7244219)"))
                if not sqlalchemy.inspect(alone).has_table("alembic_version"):
                    _create_tables(engine)
        finally:
            engine.dispose()


def _create_tables(engine: sqlalchemy.Engine) -> None:
    """Call what `mlflow db upgrade` calls if there are no tables, without its two lines on standard error."""
    from mlflow.store.db.utils import _initialize_tables

    messages = logging.getLogger("mlflow.store.db.utils")
    level = messages.level
    messages.setLevel(logging.WARNING)
    try:
        _initialize_tables(engine)
    finally:
        messages.setLevel(level)


def _artifact_location() -> str | None:
    """Store artifacts in the project if there is no server; a server decides for itself."""
    own = _own_folder()
    return (own / ARTIFACTS).as_uri() if own is not None and tracking_uri().startswith("sqlite:") else None
