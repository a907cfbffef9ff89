"""`make services` as a team uses it: servers, a worker with its own clone, stages on another worker."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import wait_for
from projects import commit, dvc, edit_params, headstart, result_of
from servers import free_port

from headstart.host import owner

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def project(common_repository: Path) -> Path:
    """A project whose data is on the DVC remote."""
    repository = common_repository
    (repository / ".gitignore").write_text((repository / ".gitignore").read_text() + "/.services\n")
    commit(repository)
    dvc(repository, "push", "--quiet")
    return repository


@pytest.fixture(scope="module")
def notified(common: Path) -> Iterator[list[str]]:
    """Notifications to people: the texts sent to their webhook."""
    texts: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_NOTIFY", f"http://127.0.0.1:{server.server_port}/secret-part")
        yield texts
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def started(project: Path, notified: list[str]) -> Iterator[dict[str, int]]:
    """Ports of the running services; one worker is for placed stages."""
    ports = {name: free_port() for name in ("prefect", "mlflow", "guard")}
    given = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_PLACEMENT_SECONDS", "40")
        try:
            said = headstart(project, "services", "start", "--gpu", "cpu", *given)
            assert f"http://127.0.0.1:{ports['prefect']}" in said
            assert "cpu, gpu-none" in said
            assert "127.0.0.1" in said.partition("Notifications")[2]
            assert "secret-part" not in said
            assert f"are sent to git remote {project} " in said.partition("Git refs")[2]
            for path in (".services", ".services/prefect/prefect.db", "mlflow/mlflow.db"):
                assert (project / path).stat().st_mode & 0o077 == 0, path
            yield ports
        finally:
            left = json.loads((project / ".services/processes.json").read_text())
            said = headstart(project, "services", "stop")
            assert "worker cpu, mlflow, prefect" in said
            assert not [entry for entry in left if owner.started(entry["pid"]) == entry["started"]]
            assert "nothing was running" in headstart(project, "services", "stop")


@pytest.fixture
def services(started: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """A client of the services' Prefect server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{started['mlflow']}")
    with (
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{started['prefect']}/api"}),
        get_client(sync_client=True) as client,
    ):
        yield client


def train(**settings: Any) -> FlowRun:
    """Run the deployment train-now to its end."""
    done = run_deployment("training/train-now", as_subflow=False, timeout=600, poll_interval=1, **settings)
    assert isinstance(done, FlowRun)
    assert done.state is not None
    return done


def children(client: SyncPrefectClient, done: FlowRun) -> dict[str, FlowRun]:
    """Flow runs of the stages that another worker ran, by stage."""
    found = [each for each in client.read_flow_runs() if each.parent_task_run_id is not None]
    assert done.start_time is not None
    mine = [each for each in found if each.expected_start_time and each.expected_start_time > done.start_time]
    return {each.parameters["stage"]: each for each in mine}


def test_services_that_run_are_not_started_again(project: Path, started: dict[str, int]) -> None:
    processes = (project / ".services/processes.json").read_text()
    given = [part for name, port in started.items() for part in (f"--{name}-port", str(port))]
    found = result_of(project, "services", "start", "--gpu", "cpu", *given)
    assert (project / ".services/processes.json").read_text() == processes
    assert found == result_of(project, "services", "status")
    assert {each["name"] for each in found["services"]} == {
        *("prefect", "mlflow", "guard", "worker cpu", "worker gpu-none", "worker guard")
    }
    assert {each["state"] for each in found["services"]} == {"healthy"}
    assert all((project / each["log"]).is_file() for each in found["services"])
    other = ["--prefect-port", str(free_port())]
    said = headstart(project, "services", "start", *other, status=1)
    assert f"prefect runs at http://127.0.0.1:{started['prefect']}" in said


def test_a_deployment_trains_with_stages_on_another_worker(
    project: Path, services: SyncPrefectClient
) -> None:
    first = train()
    assert first.state is not None
    assert first.state.name == "Completed", first.state.message
    assert "version 1 registered (alias: challenger, champion)" in str(first.state.message)
    placed = children(services, first)
    assert set(placed) == {"features", "train"}
    assert all(child.state and child.state.is_completed() for child in placed.values())
    texts = placed["train"].parameters["texts"]
    assert set(texts) == {"params.yaml", "data.dvc", "dvc.lock"}
    [report] = [found for found in artifacts(services, first) if found.key == "training-report"]
    assert "This version is the champion." in str(report.data)
    assert "/#/models/headstart/versions/1" in str(report.data)
    clone = project / ".services" / "clones"
    head = "artifacts/head.safetensors"
    assert (clone / "cpu" / head).read_bytes() == (clone / "gpu-none" / head).read_bytes()
    assert "up to date" in dvc(clone / "cpu", "status")


def test_a_run_without_changes_ends_soon(services: SyncPrefectClient) -> None:
    started = time.monotonic()
    second = train()
    assert second.state is not None
    assert second.state.name == "Unchanged"
    assert "version 1 was registered before" in str(second.state.message)
    assert time.monotonic() - started < 60


def test_a_rejected_version_gets_no_alias_and_is_reported(
    project: Path, services: SyncPrefectClient, notified: list[str]
) -> None:
    edit_params(project, **{"train.lr": 0.01, "register.thresholds.accuracy": 1.0, "train.epochs": 1})
    edit_params(project, **{"train.lr": 1e-9, "register.thresholds.balanced_accuracy": 1.0})
    commit(project)
    third = train()
    assert third.state is not None
    assert third.state.is_cancelled()
    assert third.state.name == "Rejected", third.state.message
    listed = services.read_flow_run(third.id)
    assert listed.name.startswith("version 2 did not pass (")
    assert "rejected" in listed.tags
    assert listed.run_count == 1
    assert set(children(services, third)) == {"train"}
    tracking = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    aliases = tracking.get_registered_model("headstart").aliases
    assert {name: str(number) for name, number in aliases.items()} == {"champion": "1", "challenger": "1"}
    wait_for(lambda: "headstart.rejected" in " ".join(notified), 60)
    [text] = [text for text in notified if "headstart.rejected" in text]
    assert "version 2 registered" in text
    assert "FAIL: " in text
    assert "/models/headstart/versions/2" in text


def test_a_stage_that_fails_elsewhere_fails_the_run(project: Path, services: SyncPrefectClient) -> None:
    edit_params(project, **{"train.precision": "fp32", "train.class_weights": {"none such": 2}})
    commit(project)
    fourth = train()
    assert fourth.state is not None
    assert fourth.state.is_failed()
    assert "stage train on another worker ended as Failed" in str(fourth.state.message)
    assert "none such" in str(fourth.state.message)
    tracking = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    assert len(tracking.search_model_versions("name = 'headstart'")) == 2


def test_a_stage_that_no_worker_takes_is_reported_to_people(
    project: Path, services: SyncPrefectClient, notified: list[str]
) -> None:
    _end_worker(project, "worker gpu-none")
    edit_params(project, **{"train.class_weights": None, "train.lr": 0.02})
    commit(project)
    fifth = train()
    assert fifth.state is not None
    assert "stage train: no worker took stage/gpu in 40 s" in str(fifth.state.message)
    [child] = children(services, fifth).values()
    assert child.state is not None
    assert child.state.is_cancelled()
    wait_for(lambda: "stage train: no worker took stage/gpu" in " ".join(notified), 60)
    assert any("headstart.challenger" in text and "version 1 registered" in text for text in notified)
    assert "/runs/flow-run/" in notified[-1]


def _end_worker(project: Path, name: str) -> None:
    listed = json.loads((project / ".services/processes.json").read_text())
    [pid] = [entry["pid"] for entry in listed if entry["name"] == name]
    os.killpg(pid, signal.SIGKILL)


def artifacts(client: SyncPrefectClient, done: FlowRun) -> list[Any]:
    return client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[done.id]))
    )
