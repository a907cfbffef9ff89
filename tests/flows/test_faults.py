"""What is killed leaves nothing behind; the next run goes on, ends with the same bytes, registers once."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import edit_params, run

from headstart import owner

pytestmark = pytest.mark.server
START_SECONDS = 120


@pytest.fixture
def slow(repository: Path) -> Path:
    """A project whose training takes seconds."""
    edit_params(
        repository, **{"train.epochs": 300, "train.patience": 300, "register.thresholds.accuracy": 0.0}
    )
    return repository


def start(root: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(root / "bin" / "headstart"), "run"],
            cwd=root,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def wait_for(what: Callable[[], object], seconds: float = START_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def processes(root: Path) -> dict[int, str]:
    """Processes that stand in a folder: id to command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == root.resolve():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def stage_of(root: Path, name: str) -> int | None:
    return next((pid for pid, line in processes(root).items() if f"-m headstart {name}" in line), None)


def versions(root: Path) -> list[str]:
    uri = f"sqlite:///{root}/mlflow/mlflow.db"
    return [
        str(found.version) for found in MlflowClient(uri, uri).search_model_versions("name = 'headstart'")
    ]


def test_a_flow_that_was_killed_leaves_no_process_and_the_next_one_ends_with_the_same_bytes(
    slow: Path, tmp_path: Path
) -> None:
    states = tmp_path / "store" / "checkpoints"
    flow = start(slow, tmp_path / "log")
    wait_for(lambda: list(states.glob("*-0.safetensors")))
    stage = stage_of(slow, "train")
    assert stage is not None
    [process] = [pid for pid, line in processes(slow).items() if "flows/training.py" in line]
    os.kill(process, signal.SIGKILL)
    flow.wait(30)
    wait_for(lambda: not owner.started(stage), 20)
    wait_for(lambda: not [line for line in processes(slow).values() if " -m dvc repro" in line], 20)
    said = run(slow, str(slow / "bin" / "headstart"), "run").stdout
    assert "train: goes on where it was stopped" in said
    assert "went through the network now" not in said
    assert versions(slow) == ["1"]
    resumed = (slow / "artifacts/head.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "store")
    run(slow, str(slow / "bin" / "headstart"), "train")
    assert (slow / "artifacts/head.safetensors").read_bytes() == resumed


def test_a_stage_that_was_killed_fails_its_flow_and_the_next_one_goes_on(slow: Path, tmp_path: Path) -> None:
    states = tmp_path / "store" / "checkpoints"
    log = tmp_path / "log"
    flow = start(slow, log)
    wait_for(lambda: list(states.glob("*-0.safetensors")))
    stage = stage_of(slow, "train")
    assert stage is not None
    os.kill(stage, signal.SIGKILL)
    assert flow.wait(60) != 0
    assert "stage train failed" in log.read_text()
    assert versions(slow) == []
    assert "goes on where it was stopped" in run(slow, str(slow / "bin" / "headstart"), "run").stdout
    assert versions(slow) == ["1"]


def test_two_flows_at_once_in_one_tree_follow_each_other(slow: Path, tmp_path: Path) -> None:
    logs = [tmp_path / "first", tmp_path / "second"]
    run(slow, str(slow / "bin" / "headstart"), "tracking")
    flows = [start(slow, log) for log in logs]
    assert [flow.wait(300) for flow in flows] == [0, 0], logs[0].read_text() + logs[1].read_text()
    said = sorted((log.read_text() for log in logs), key=lambda text: "waiting for its end" in text)
    assert "version 1 registered" in said[0]
    assert "version 1 was registered before" in said[1]
    assert "Running stage" not in said[1]
    assert versions(slow) == ["1"]
