"""A stage ends with its flow, and an accelerator is used by one process at a time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from headstart.host import exclusive, owner

STAGE = (
    "import time; from headstart.host import owner; owner.end_with_owner();"
    "print('on', flush=True); time.sleep(60)"
)
FLOW = (
    "import os, subprocess, sys, time; from headstart.host import owner;"
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], env={**os.environ, **owner.as_owner()},"
    " start_new_session=True); print(child.pid, flush=True); time.sleep(60)"
)
HOLD = (
    "import sys, time; from pathlib import Path; from headstart.host import exclusive;"
    "exclusive.hold(['card'], lambda text: print(text, flush=True), Path(sys.argv[1]));"
    "print('has it', flush=True); time.sleep(60)"
)


def gone(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while owner.started(pid) and time.monotonic() < until:
        time.sleep(0.1)
    return not owner.started(pid)


def test_a_stage_ends_when_its_flow_was_killed() -> None:
    flow = subprocess.Popen([sys.executable, "-c", FLOW, STAGE], stdout=subprocess.PIPE, text=True)
    assert flow.stdout is not None
    stage = int(flow.stdout.readline())
    assert flow.stdout.readline() == "on\n"
    time.sleep(1.5)
    assert owner.started(stage)
    flow.kill()
    flow.wait()
    assert gone(stage, 20)


def test_a_stage_without_a_flow_goes_on() -> None:
    environment = {name: value for name, value in os.environ.items() if name != owner.OWNER}
    script = (
        "import threading; from headstart.host import owner; owner.end_with_owner();"
        "print(threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout == "1\n"


def test_an_accelerator_serves_one_process_and_is_free_when_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "locks"

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)

    first = start()
    assert first.stdout is not None
    assert first.stdout.readline() == "has it\n"
    second = start()
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting for accelerator card, held by another process\n"
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.stdout.readline() == "has it\n"
    second.kill()
    second.wait()


def test_a_machine_without_accelerators_waits_for_nothing(tmp_path: Path) -> None:
    exclusive.hold([], lambda text: None, tmp_path / "locks")
    assert not (tmp_path / "locks").exists()
