"""Run a program for a limited time, and end it with everything that it started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_running: set[int] = set()


def run_bounded(
    command: Sequence[str],
    seconds: float,
    *,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program without input and return its output.

    Args:
        env: its whole environment; this process's by default.

    Raises:
        TimeoutError: it was killed after `seconds`, with the processes that it had started.
        OSError: it cannot be started.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
        errors="replace",
        cwd=folder,
        env=env,
        start_new_session=True,  # a group of its own: a child of it would keep the pipes open
    ) as process:
        _running.add(process.pid)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"no answer in {seconds:.2g} s") from None
        finally:
            if process.poll() is None:
                _kill(process.pid)
            _running.discard(process.pid)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def kill_bounded() -> None:
    """Kill what `run_bounded` runs at the moment in other threads."""
    for pid in list(_running):
        _kill(pid)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
