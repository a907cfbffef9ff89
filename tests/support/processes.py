"""Flows and stages as processes: started, watched and found by the folder they stand in."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAIT_SECONDS = 300  # an idle machine needs a tenth


def start_flow(root: Path, log: Path) -> "subprocess.Popen[bytes]":
    """`headstart run`, in a session of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(root / "bin" / "headstart"), "run"],
            cwd=root,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def wait_for(what: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Until something is so; what was found."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


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


def stage_of(root: Path, name: str) -> int:
    """The process of a stage."""
    return next(pid for pid, line in processes(root).items() if f"-m headstart {name}" in line)


def checkpoints(store: Path) -> list[Path]:
    """States of trainings that have not ended."""
    return list((store / "checkpoints").glob("[!.]*.safetensors"))
