"""Both servers on a real PostgreSQL, Prefect with a password: a training, and a restored backup."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from postgres import PASSWORD, Server, postgres_server
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from projects import commit, dvc, headstart
from servers import free_port

pytestmark = pytest.mark.server
PREFECT_PASSWORD = "admin:another password"
DATABASES = {"prefect": "PREFECT_SERVER_DATABASE_CONNECTION_URL", "mlflow": "MLFLOW_BACKEND_STORE_URI"}
DRIVERS = {"prefect": "asyncpg", "mlflow": "psycopg2"}


@pytest.fixture
def project(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose data is on the DVC remote."""
    (repository / ".gitignore").write_text((repository / ".gitignore").read_text() + "/.services\n")
    commit(repository)
    dvc(repository, "push", "--quiet")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", PREFECT_PASSWORD)
    return repository


@pytest.fixture
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


def use(server: Server, monkeypatch: pytest.MonkeyPatch, suffix: str = "") -> None:
    """Set the two database settings that a team sets."""
    for name, variable in DATABASES.items():
        monkeypatch.setenv(variable, server.address(DRIVERS[name], name + suffix))


@contextmanager
def services(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Running servers with one worker, known to this process and the project's commands."""
    prefect, mlflow, guard = free_port(), free_port(), free_port()
    ports = ["--prefect-port", str(prefect), "--mlflow-port", str(mlflow), "--guard-port", str(guard)]
    headstart(project, "services", "start", "--gpu", "none", *ports)
    try:
        api = {PREFECT_API_URL: f"http://127.0.0.1:{prefect}/api", PREFECT_API_AUTH_STRING: PREFECT_PASSWORD}
        with monkeypatch.context() as patch, temporary_settings(api):
            patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow}")
            yield
    finally:
        assert "worker cpu, mlflow, prefect" in headstart(project, "services", "stop")


def train() -> str:
    """Run the deployment train-now; return its final state's name and message."""
    done = run_deployment("training/train-now", as_subflow=False, timeout=300, poll_interval=1)
    assert isinstance(done, FlowRun)
    assert done.state is not None
    return f"{done.state.name}: {done.state.message}"


def check_that_only_servers_know_the_password(project: Path) -> None:
    listed = json.loads((project / ".services/processes.json").read_text())
    environments = {
        entry["name"]: Path(f"/proc/{entry['pid']}/environ").read_bytes().decode() for entry in listed
    }
    secret = quote(PASSWORD, safe="")
    assert {name for name, text in environments.items() if secret in text} == {"prefect", "mlflow"}
    commands = [_read(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if secret.encode() in command]


def _read(path: Path) -> bytes:
    """A file of a process under /proc, empty if the process ended meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_both_servers_keep_what_they_know_in_postgresql_and_a_backup_of_it_can_be_restored(
    project: Path, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DATABASES:
        postgres.create(name)
    use(postgres, monkeypatch)
    with services(project, monkeypatch):
        assert "version 1 registered (alias: challenger, champion)" in train()
        check_that_only_servers_know_the_password(project)
        answer = headstart(project, "predict", "--model", "models:/headstart@champion", "data/dark")
    assert postgres.ask("mlflow", "SELECT name, version FROM model_versions") == ["headstart|1"]
    runs = "SELECT state_name FROM flow_run JOIN flow ON flow_id = flow.id WHERE flow.name = 'training'"
    assert {"Completed", "Scheduled"} <= set(postgres.ask("prefect", runs)), "the nightly run is not planned"
    assert not list(project.glob("**/mlflow.db"))
    assert not list(project.glob(".services/**/prefect.db"))

    artifacts = project / "mlflow" / "artifacts"
    shutil.copytree(artifacts, tmp_path / "restored")
    shutil.rmtree(artifacts)
    for name in DATABASES:
        backup = str(tmp_path / f"{name}.dump")
        postgres.run("pg_dump", "--format=custom", f"--file={backup}", name)
        postgres.run("dropdb", name)
        postgres.create(f"{name}_restored")
        postgres.run("pg_restore", "--exit-on-error", f"--dbname={name}_restored", backup)
    use(postgres, monkeypatch, "_restored")
    monkeypatch.setenv("ARTIFACTS", str(tmp_path / "restored"))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "empty"))
    with services(project, monkeypatch):
        with get_client(sync_client=True) as client:
            assert "Completed" in [each.state_name for each in client.read_flow_runs()]
        found = headstart(project, "predict", "--model", "models:/headstart@champion", "data/dark")
        assert found == answer
        assert "models:/headstart/1" in headstart(project, "lineage", "models:/headstart@champion")
        assert "Unchanged: headstart version 1 was registered before" in train()
    assert not artifacts.exists()
