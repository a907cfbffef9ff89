"""Flows and stages as processes: start them, watch them, and find them by their working folder."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAIT_SECONDS = 300  # an idle machine needs a tenth of this


def start_flow(root: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start `headstart run` in a session of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(root / "bin" / "headstart"), "run"],
            cwd=root,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]", seconds: float = 20) -> None:
    """End the session of a process; a Prefect worker can miss the signal while it ends a flow run."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(seconds)


def wait_for(what: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Wait until `what` returns a true value, and return that value."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def processes(root: Path) -> dict[int, str]:
    """Command lines of the processes that run in a folder, by id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == root.resolve():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def stage_of(root: Path, name: str) -> int:
    """The id of a stage's process."""
    return next(pid for pid, line in processes(root).items() if f"-m headstart {name}" in line)


def checkpoints(store: Path) -> list[Path]:
    """Stored states of unfinished trainings."""
    return list((store / "checkpoints").glob("[!.]*.safetensors"))
