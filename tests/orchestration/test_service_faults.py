"""Services are killed while a flow runs: they are restarted, work continues, and nothing is made twice."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import checkpoints, processes, wait_for
from projects import commit, dvc, edit_params, headstart, repro
from servers import free_port

pytestmark = pytest.mark.server
LOST_SECONDS = 45  # without a heartbeat; one is sent every 30 s
LOST = "Headstart: a flow run whose process is gone is Crashed"
WITHIN = "within: 180"  # which a restart of Prefect's server must not exceed


class Team:
    """Running services, and the actions of a test on them."""

    def __init__(self, project: Path, client: SyncPrefectClient, ports: list[str]) -> None:
        self.project = project
        self.client = client
        self.clone = project / ".services/clones/cpu"
        self._ports = ports

    def start(self) -> None:
        """Start every service that is not running."""
        headstart(self.project, "services", "start", "--gpu", "none", *self._ports)

    def kill(self, name: str, group: bool = True) -> None:
        """Send SIGKILL to a service's whole process group, or only to its first process."""
        listed = json.loads((self.project / ".services/processes.json").read_text())
        [pid] = [entry["pid"] for entry in listed if entry["name"] == name]
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)

    def wait_longer_for_heartbeats(self) -> None:
        """Create the automations again as the project has them: a run is Crashed after 180 s."""
        [found] = self.client.read_automations_by_name(LOST)
        self.client.delete_automation(found.id)
        automations = self.project / "automations.yaml"
        automations.write_text(automations.read_text().replace(f"within: {LOST_SECONDS}", WITHIN))
        self.start()
        [found] = self.client.read_automations_by_name(LOST)
        assert found.trigger.within == timedelta(seconds=180)

    def renew_leases(self) -> None:
        """Renew the places that running flows hold under a concurrency limit, as each does every 225 s.

        A flow whose place the server has forgotten is ended.
        """
        kept = [
            path.stem for path in (self.project / ".services/prefect/concurrency_leases").glob("*-*.json")
        ]
        assert kept
        for lease in kept:
            self.client.renew_concurrency_lease(UUID(lease), 300)

    def train(self) -> "Run":
        """Start a training."""
        asked = run_deployment("training/train-now", as_subflow=False, timeout=0)
        return Run(self, asked.id)


class Run:
    """A flow run; its output is read from its worker's log, without a server."""

    def __init__(self, team: Team, id: object) -> None:
        self._team = team
        self._id = id
        self._log = team.project / ".services/logs/worker-cpu.log"
        self._start = self._log.stat().st_size

    @property
    def said(self) -> str:
        return self._log.read_bytes()[self._start :].decode(errors="replace")

    def state(self) -> str:
        state = self._team.client.read_flow_run(self._id).state  # type: ignore[arg-type]
        return state.name if state is not None and state.is_final() else ""

    def wait(self) -> str:
        """Wait for the run to end, and return its state's name."""
        wait_for(self.state, 600)
        return self.state()


@pytest.fixture
def team(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """Services with one worker; the project's training takes seconds, and its earlier stages are done."""
    (repository / ".gitignore").write_text((repository / ".gitignore").read_text() + "/.services\n")
    automations = repository / "automations.yaml"
    text = automations.read_text()
    assert WITHIN in text
    automations.write_text(text.replace(WITHIN, f"within: {LOST_SECONDS}"))
    edit_params(
        repository, **{"train.epochs": 300, "train.patience": 300, "register.thresholds.accuracy": 0.0}
    )
    repro(repository, "features")
    commit(repository)
    dvc(repository, "push", "--quiet", "--run-cache")
    prefect, mlflow, guard = free_port(), free_port(), free_port()
    monkeypatch.setenv("HEADSTART_RETRIES", "8")
    monkeypatch.setenv("HEADSTART_RETRY_SECONDS", "1")
    address = f"http://127.0.0.1:{prefect}/api"
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        ports = ["--prefect-port", str(prefect), "--mlflow-port", str(mlflow), "--guard-port", str(guard)]
        found = Team(repository, client, ports)
        try:
            found.start()
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mlflow}")
            yield found
        finally:
            headstart(repository, "services", "stop")


def test_services_that_are_killed(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    lost = team.train()
    wait_for(lambda: checkpoints(store))
    team.kill("worker cpu", group=False)
    wait_for(lambda: not processes(team.clone), 60)  # neither the flow nor its stage is left running
    wait_for(lambda: lost.state() == "Crashed")
    team.start()
    again = team.train()
    wait_for(lambda: "train: resumes where it was stopped" in again.said)
    team.kill("mlflow")
    wait_for(lambda: "Retry 1/8" in again.said)
    team.start()
    assert again.wait() == "Completed"
    assert "Running stage 'features'" not in lost.said
    check(team, 1, tmp_path, monkeypatch)

    team.wait_longer_for_heartbeats()
    edit_params(team.project, **{"train.seed": 1})
    commit(team.project)
    third = team.train()
    wait_for(lambda: checkpoints(store))
    team.kill("prefect")
    team.start()
    team.renew_leases()
    assert third.wait() == "Completed"
    assert third.said.count("Running stage 'train'") == 1
    check(team, 2, tmp_path, monkeypatch)


def check(team: Team, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that each result is registered once and equals that of an undisturbed run."""
    tracking = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    assert len(tracking.search_model_versions("name = 'headstart'")) == count
    with monkeypatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path / "other"))
        assert "Running stage 'train'" in repro(team.project, "--no-run-cache")
    assert (team.clone / "dvc.lock").read_bytes() == (team.project / "dvc.lock").read_bytes()
