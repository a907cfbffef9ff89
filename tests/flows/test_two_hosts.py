"""Two hosts' worth: clones, DVC caches and workers of their own; the DVC remote over a real SSH server."""

import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling
from projects import ROOT, commit, draw_images, edit_params, make_repository, make_tree, run
from servers import servers
from sshd import Server, ssh_server

from headstart.tree import QUIET

pytestmark = pytest.mark.server
RUN_SECONDS = 600
LONG = {"train.epochs": 300, "train.patience": 300, "train.batch_size": 4}


@dataclass(frozen=True)
class Host:
    """A worker's clone, and all else that a host has of its own."""

    clone: Path
    pool: str

    @property
    def log(self) -> Path:
        return self.clone.parent / "worker.log"

    @property
    def checkpoints(self) -> Path:
        return self.clone.parent / "store" / "checkpoints"

    @property
    def environment(self) -> dict[str, str]:
        own = self.clone.parent
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {
            **kept,
            **QUIET,
            "HEADSTART_CACHE": str(own / "store"),
            "DVC_SITE_CACHE_DIR": str(own / "dvc"),
            "PREFECT_HOME": str(own / "prefect"),
            "HEADSTART_PYTHON": sys.executable,
            "HEADSTART_CLONE": str(self.clone),
            "PYTHONPATH": os.pathsep.join((str(self.clone / "src"), str(self.clone))),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }

    def dvc(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=self.clone, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def use_key(self, key: Path) -> None:
        """Which private key opens the DVC remote: `.dvc/config.local`, which git does not carry."""
        self.dvc("remote", "modify", "--local", "local", "keyfile", str(key))

    def stages(self) -> list[int]:
        """Processes of DVC and of stages that stand in the clone."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "cwd").resolve() == self.clone.resolve():
                    line = (entry / "cmdline").read_text().replace("\0", " ")
                    if " -m headstart " in line or " -m dvc repro" in line:
                        found.append(int(entry.name))
            except OSError:
                continue
        return found


@dataclass(frozen=True)
class Pair:
    """Host A runs the training flow, host B the stages that are placed; `author` is whom both follow."""

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
    """Both hosts at work, and a project that they follow."""
    folder = tmp_path_factory.mktemp("two")
    with (
        ssh_server(folder / "sshd") as sshd,
        servers(folder / "servers") as addresses,
        temporary_settings({PREFECT_API_URL: addresses["PREFECT_API_URL"]}),
        get_client(sync_client=True) as prefect,
    ):
        author = make_author(folder, sshd)
        a, b = (make_host(folder / name, pool, sshd) for name, pool in (("a", "cpu"), ("b", "gpu")))
        for pool in (a.pool, b.pool):
            prefect.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        placing = {"HEADSTART_BRANCH": "main", "HEADSTART_PLACEMENT": "stage/gpu"}
        workers = [start_worker(a, {**addresses, **placing}), start_worker(b, addresses)]
        try:
            deploy(author, addresses)
            tracking = MlflowClient(addresses["MLFLOW_TRACKING_URI"], addresses["MLFLOW_TRACKING_URI"])
            yield Pair(author, a, b, sshd, prefect, tracking)
        finally:
            for worker in workers:
                os.killpg(worker.pid, signal.SIGTERM)
            for worker in workers:
                worker.wait(60)


def make_author(folder: Path, sshd: Server) -> Path:
    """A project with its own code, pushed to a bare repository; its data on a remote behind SSH."""
    author, remote = folder / "author", folder / "on a third host"
    make_tree(author, linked=False)
    for name in ("prefect.yaml", "automations.yaml"):
        shutil.copy(ROOT / name, author)
    draw_images(author / "data", {"dark": 24, "light": 24})
    make_repository(author)
    remote.mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{sshd.port}{remote}"
    author_host = Host(author, "")
    author_host.dvc("remote", "add", "--force", "--default", "local", url)
    author_host.use_key(sshd.key)
    author_host.dvc("push", "--quiet")
    commit(author)
    run(folder, "git", "clone", "--quiet", "--bare", str(author), "origin.git")
    run(author, "git", "remote", "add", "origin", str(folder / "origin.git"))
    return author


def make_host(own: Path, pool: str, sshd: Server) -> Host:
    own.mkdir()
    run(own, "git", "clone", "--quiet", str(own.parent / "origin.git"), "clone")
    host = Host(own / "clone", pool)
    host.use_key(sshd.key)
    return host


def deploy(author: Path, addresses: dict[str, str]) -> None:
    """As a person does, whose shell names no worker's clone."""
    settings = {
        name: value for name, value in Host(author, "").environment.items() if name != "HEADSTART_CLONE"
    }
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=author,
        env={**settings, **addresses},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def start_worker(host: Host, settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", host.pool, "--limit", "1"]
    with host.log.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=host.clone,
            env={**host.environment, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def train(timeout: float = RUN_SECONDS) -> FlowRun:
    """Start the deployment that people start; to its end, or without waiting (0)."""
    done = run_deployment("training/on-demand", as_subflow=False, timeout=timeout, poll_interval=1)
    assert isinstance(done, FlowRun)
    return done


def wait_for(what: Callable[[], Any], seconds: float = 180) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


def said(host: Host, since: int = 0) -> str:
    """What a host's worker and its flows have printed."""
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
    assert not (pair.b.clone / "data").exists()  # neither stage reads it


def check_what_travelled(pair: Pair, child: FlowRun, stage: str) -> None:
    """The commit, the stage's name and the texts of small files: data goes by DVC."""
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
        state = wait_for(lambda run=each: final_state(pair.prefect, run))
        assert state.is_cancelled(), state
    wait_for(lambda: not pair.b.stages(), 30)
    assert list(pair.b.checkpoints.glob("*-0.safetensors"))
    assert pair.versions() == before

    mark = pair.b.log.stat().st_size
    done = train()
    assert done.state is not None
    assert done.state.is_completed(), done.state.message
    assert "train: goes on where it was stopped" in said(pair.b, mark)
    assert pair.versions() == before + 1


def final_state(prefect: SyncPrefectClient, run: UUID) -> Any:
    state = prefect.read_flow_run(run).state
    return state if state and state.is_final() else None
