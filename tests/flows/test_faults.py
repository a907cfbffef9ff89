"""Failed and killed runs leave nothing behind: the next one makes the same bytes and registers them once."""

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed
from processes import checkpoints, processes, stage_of, start_flow, wait_for
from projects import draw_images, dvc, edit_params, headstart, make_repository, make_tree, repro, run
from registries import versions_of
from servers import free_port, prefect_server
from sshd import make_keys, ssh_server

from headstart.errors import UnreachableError, WorkerLost
from headstart.host import owner
from headstart.host.project import QUIET

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def made(common: Path) -> Path:
    """A project whose training takes seconds, with the earlier stages done, and the expected dvc.lock."""
    folder = common
    root = folder / "project"
    make_tree(root)
    edit_params(root, **{"train.epochs": 300, "train.patience": 300, "register.thresholds.accuracy": 0.0})
    draw_images(root / "data", {"dark": 24, "light": 24})
    make_repository(root)
    repro(root, "features")
    whole = shutil.copytree(root, folder / "whole", symlinks=True)
    repro(whole)
    shutil.copy(whole / "dvc.lock", folder / "whole.lock")
    shutil.rmtree(whole)
    return folder


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        with prefect_server(tmp_path_factory.mktemp("prefect")) as address:
            yield f"{address}/api"


@pytest.fixture
def project(made: Path, prefect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, next to its store."""
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    return copy(made, tmp_path)


def copy(made: Path, folder: Path) -> Path:
    """Copy that project, and give the copy a remote of its own."""
    shutil.copytree(made, folder, symlinks=True, dirs_exist_ok=True)
    remote = [sys.executable, "-m", "dvc", "remote", "modify", "--local", "local", "url"]
    run(folder / "project", *remote, str(folder / "project-remote"))
    return folder / "project"


def check(root: Path, *said: str) -> None:
    """Check that the last run completed what others began, with the same bytes and nothing made twice."""
    assert "went through the network now" not in "".join(said)
    assert (root / "dvc.lock").read_bytes() == (root.parent / "whole.lock").read_bytes()
    assert dvc(root, "status").startswith("Data and pipelines are up to")
    assert versions_of(root) == ["1"]
    assert not [path for path in (root / "artifacts").rglob(".*") if path.name != ".gitignore"]


def test_a_flow_that_was_killed_leaves_no_process(project: Path, tmp_path: Path) -> None:
    flow = start_flow(project, tmp_path / "log")
    wait_for(lambda: checkpoints(tmp_path / "store"))
    stage = stage_of(project, "train")
    [process] = [pid for pid, line in processes(project).items() if "flows/training.py" in line]
    os.kill(process, signal.SIGKILL)
    flow.wait(60)
    wait_for(lambda: not owner.started(stage), 60)
    wait_for(lambda: not [line for line in processes(project).values() if " -m dvc repro" in line], 60)
    said = headstart(project, "run")
    assert "train: resumes where it was stopped" in said
    check(project, (tmp_path / "log").read_text(), said)


def test_a_stage_that_was_killed_fails_its_flow(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    flow = start_flow(project, log)
    wait_for(lambda: checkpoints(tmp_path / "store"))
    os.kill(stage_of(project, "train"), signal.SIGKILL)
    assert flow.wait(120) != 0
    assert "stage train failed" in log.read_text()
    said = headstart(project, "run")
    assert "train: resumes where it was stopped" in said
    check(project, log.read_text(), said)


def test_two_flows_at_once_in_one_tree_follow_each_other(project: Path, tmp_path: Path) -> None:
    logs = [tmp_path / "first", tmp_path / "second"]
    flows = [start_flow(project, log) for log in logs]
    assert [flow.wait(600) for flow in flows] == [0, 0], logs[0].read_text() + logs[1].read_text()
    said = sorted((log.read_text() for log in logs), key=lambda text: "waiting for it to end" in text)
    assert "version 1 registered" in said[0]
    assert "version 1 was registered before" in said[1]
    assert "Running stage" not in said[1]
    check(project, *said)


def test_a_remote_that_does_not_answer_is_tried_again(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, keys, remote, log = free_port(), tmp_path / "sshd", tmp_path / "far", tmp_path / "log"
    make_keys(keys)
    remote.mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{remote}"
    dvc(project, "remote", "add", "--local", "--default", "far", url)
    dvc(project, "remote", "modify", "--local", "far", "keyfile", str(keys / "user"))
    monkeypatch.setenv("HEADSTART_RETRIES", "9")
    monkeypatch.setenv("HEADSTART_RETRY_SECONDS", "0.5")
    flow = start_flow(project, log)
    wait_for(lambda: len(delays(log)) >= 3)
    with ssh_server(keys, port):
        assert flow.wait(600) == 0, log.read_text()
    said = log.read_text()
    assert "Connect call failed" in said
    for number, delay in enumerate(delays(log)):
        assert 0.7 * 0.5 * 2**number <= delay <= 1.3 * 0.5 * 2**number
    assert said.count("Running stage 'train'") == 1
    assert list(remote.rglob("*.dir"))
    assert not (tmp_path / "project-remote").exists()  # the clone's own setting takes precedence
    check(project, said)


def delays(log: Path) -> list[float]:
    """Seconds before each retry, from the log."""
    return [float(found) for found in re.findall(r"will start (\d+(?:\.\d+)?) second", log.read_text())]


def test_without_mlflow_the_flow_fails_clearly_and_the_next_one_only_registers(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gone)
    monkeypatch.setenv("HEADSTART_RETRIES", "1")
    monkeypatch.setenv("HEADSTART_RETRY_SECONDS", "0.5")
    first = headstart(project, "run", status=1)
    assert first.count(f"MLflow does not answer at {gone}") >= 2
    assert "Retry 1/1" in first
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    second = headstart(project, "run")
    assert "Running stage" not in second
    check(project, first, second)


def test_bad_data_fails_at_once(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_RETRIES", "3")
    (tmp_path / "source").mkdir()
    edit_params(project, **{"data.source": str(tmp_path / "source")})
    said = headstart(project, "run", status=1)
    assert "Retry" not in said
    shutil.rmtree(project / "data/light")
    edit_params(project, **{"data.source": None})
    said = headstart(project, "run", status=1)
    assert "validate" in said
    assert "Retry" not in said
    found = re.search(r"flow-run/([0-9a-f-]{36})", said)
    assert found, said
    with (
        temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(found[1])]))
        tried = {each.name: each.run_count for each in client.read_task_runs(flow_run_filter=mine)}
    assert set(tried.values()) == {1}, tried


def test_a_worker_that_is_gone_may_be_followed_by_another(prefect: str) -> None:
    from headstart.orchestration import placement

    with temporary_settings({PREFECT_API_URL: prefect}), get_client(sync_client=True) as client:
        child = client.create_flow_run(flow(name="stage")(lambda: None), state=Crashed(message="no sign"))
        with pytest.raises(WorkerLost, match=r"stage train: its worker is gone \(no sign\)") as caught:
            placement._wait(client, child.id, "train", "stage/gpu")
    assert isinstance(caught.value, UnreachableError)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small file system of its own, which a test can fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size=100m,mode=777,uid={os.getuid()}"
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    yield folder
    subprocess.run([*as_root, "umount", "--lazy", folder], check=True)


def test_a_full_disk_is_said_and_the_next_run_completes(
    made: Path, prefect: str, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, log, filler = copy(made, small_disk), tmp_path / "log", small_disk / "filler"
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    monkeypatch.setenv("HEADSTART_CACHE", str(small_disk / "store"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(small_disk / "dvc"))
    flow = start_flow(project, log)
    wait_for(lambda: checkpoints(small_disk / "store"))
    fill(filler)
    assert flow.wait(600) != 0
    said = log.read_text()
    assert "train: error: the disk is full: " in said
    assert "No space left on device" in said
    assert not (project / "artifacts/head.safetensors").exists()
    filler.unlink()
    again = headstart(project, "run")
    assert "train: resumes where it was stopped" in again
    check(project, said, again)


def fill(path: Path) -> None:
    """Use up all space left on the disk."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
