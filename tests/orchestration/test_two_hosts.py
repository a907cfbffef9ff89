"""Two simulated hosts, each with its own clone, DVC cache and worker; the DVC remote is a real SSH server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hosts import Host, deploy, make_author, make_host, start_worker
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling
from processes import end, wait_for
from projects import commit, edit_params, run
from servers import servers
from sshd import Server, ssh_server

pytestmark = pytest.mark.server
RUN_SECONDS = 600
LONG = {"train.epochs": 1000, "train.patience": 1000, "train.batch_size": 4}


@dataclass(frozen=True)
class Pair:
    """Host A runs the training flow, host B the placed stages; both follow the commits of `author`."""

    author: Path
    a: Host
    b: Host
    sshd: Server
    prefect: SyncPrefectClient
    tracking: MlflowClient

    def change(self, **params: object) -> None:
        """Set parameters, commit and push."""
        edit_params(self.author, **params)
        commit(self.author)
        run(self.author, "git", "push", "--quiet", "origin", "main")

    def child(self, parent: UUID, stage: str) -> FlowRun | None:
        """The newest flow run of a stage that a training flow placed."""
        own = f"{stage} "
        started = self.prefect.read_flow_run(parent).start_time
        found = [
            each
            for each in self.prefect.read_flow_runs()
            if each.name.startswith(own) and started and each.created and each.created > started
        ]
        return found[0] if found else None

    def versions(self) -> int:
        return len(self.tracking.search_model_versions("name = 'headstart'"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both hosts with running workers, and the project that they follow."""
    folder = tmp_path_factory.mktemp("two")
    with (
        ssh_server(folder / "sshd") as sshd,
        servers(folder / "servers") as addresses,
        temporary_settings({PREFECT_API_URL: addresses["PREFECT_API_URL"]}),
        get_client(sync_client=True) as prefect,
    ):
        author = make_author(folder, sshd)
        a, b = (make_host(folder / name, pool, sshd) for name, pool in (("a", "cpu"), ("b", "gpu")))
        for pool in (a.pool, b.pool, "guard"):
            prefect.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        placing = {"HEADSTART_BRANCH": "main", "HEADSTART_PLACEMENT": "stage/gpu", "HEADSTART_PUSH_REFS": "1"}
        workers = [start_worker(a, {**addresses, **placing}), start_worker(b, addresses)]
        try:
            deploy(author, addresses)
            tracking = MlflowClient(addresses["MLFLOW_TRACKING_URI"], addresses["MLFLOW_TRACKING_URI"])
            yield Pair(author, a, b, sshd, prefect, tracking)
        finally:
            for worker in workers:
                end(worker)


def train(timeout: float = RUN_SECONDS) -> FlowRun:
    """Run the deployment train-now and wait for its end; with timeout 0, do not wait."""
    done = run_deployment("training/train-now", as_subflow=False, timeout=timeout, poll_interval=1)
    assert isinstance(done, FlowRun)
    return done


def said(host: Host, since: int = 0) -> str:
    """The output of a host's worker and its flows."""
    return host.log.read_bytes()[since:].decode(errors="replace")


def test_features_and_training_run_on_the_other_host_and_their_results_lie_here(pair: Pair) -> None:
    done = train()
    assert done.state is not None
    assert done.state.name == "Completed", (done.state.message, said(pair.a)[-3000:])
    assert "version 1 registered (alias: challenger, champion)" in str(done.state.message)
    here, there = said(pair.a), said(pair.b)
    for stage in ("features", "train"):
        assert f"Running stage '{stage}'" in there
        assert f"Running stage '{stage}'" not in here
        child = pair.child(done.id, stage)
        assert child is not None
        assert f"{stage} runs as flow run {child.name!r} of stage/gpu" in here
        assert f"/runs/flow-run/{child.id}" in here
        assert child.state is not None
        assert child.state.is_completed()
        check_what_travelled(pair, child, stage)
    for stage in ("preprocess", "evaluate"):
        assert f"Running stage '{stage}'" in here
        assert f"Running stage '{stage}'" not in there
    for path in ("artifacts/features.safetensors", "artifacts/head.safetensors", "reports/history.csv"):
        assert (pair.a.clone / path).read_bytes() == (pair.b.clone / path).read_bytes()
    assert "up to date" in pair.a.dvc("status")
    assert (pair.b.clone / "data").exists()  # host B had none of the packed images
    [version] = pair.tracking.search_model_versions("name = 'headstart'")
    kept = run(pair.author, "git", "ls-remote", "origin", "refs/runs/*", "refs/versions/*").stdout.split()
    assert kept[1::2] == [f"refs/runs/{version.run_id}", "refs/versions/headstart/1"]


def check_what_travelled(pair: Pair, child: FlowRun, stage: str) -> None:
    """Check that only the commit, the stage's name and small texts were sent: data goes through DVC."""
    head = run(pair.author, "git", "rev-parse", "HEAD").stdout.strip()
    assert set(child.parameters) == {"stage", "commit", "texts"}
    assert (child.parameters["stage"], child.parameters["commit"]) == (stage, head)
    texts = child.parameters["texts"]
    assert set(texts) == {"params.yaml", "data.dvc", "dvc.lock"}
    for name in ("params.yaml", "data.dvc"):
        assert texts[name] == (pair.author / name).read_text()
    assert "preprocess:" in texts["dvc.lock"]


def test_the_other_hosts_failure_fails_the_flow_with_its_own_reason(pair: Pair) -> None:
    before = pair.versions()
    pair.change(**{"train.lr": 0.02})
    pair.b.use_key(pair.b.clone.parent / "no such key")
    try:
        done = train()
    finally:
        pair.b.use_key(pair.sshd.key)
    assert done.state is not None
    assert done.state.is_failed(), done.state
    child = pair.child(done.id, "train")
    assert child is not None
    assert child.state is not None
    assert child.state.is_failed()
    assert "stage train on another worker ended as Failed" in str(done.state.message)
    assert str(child.state.message) in str(done.state.message)
    assert "no such key" in str(child.state.message)
    assert pair.versions() == before


def test_a_cancelled_flow_ends_its_stage_on_the_other_host_and_the_next_one_goes_on(pair: Pair) -> None:
    before = pair.versions()
    pair.change(**LONG, **{"train.lr": 0.03})
    parent = train(timeout=0)
    wait_for(lambda: list(pair.b.checkpoints.glob("*-0.safetensors")), RUN_SECONDS)
    child = pair.child(parent.id, "train")
    assert child is not None
    assert pair.b.stages()
    pair.prefect.set_flow_run_state(parent.id, Cancelling())
    for each in (parent.id, child.id):
        state = wait_for(lambda run=each: final_state(pair.prefect, run), 180)
        assert state.is_cancelled(), state
    wait_for(lambda: not pair.b.stages(), 30)
    assert list(pair.b.checkpoints.glob("*-0.safetensors"))
    assert pair.versions() == before

    mark = pair.b.log.stat().st_size
    done = train()
    assert done.state is not None
    assert done.state.is_completed(), done.state.message
    assert "train: resumes where it was stopped" in said(pair.b, mark)
    assert pair.versions() == before + 1


def final_state(prefect: SyncPrefectClient, run: UUID) -> Any:
    state = prefect.read_flow_run(run).state
    return state if state and state.is_final() else None
