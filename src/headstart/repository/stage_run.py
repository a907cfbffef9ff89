"""Run stages of dvc.yaml as a process: pass its output on as it comes, and stop it when we stop."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from headstart.errors import StageError
from headstart.host.owner import as_owner

STOP_SECONDS = 10
UNSET = "missing from 'params.yaml'"  # in DVC's error about a key that dvc.yaml lists
UPGRADE = "`headstart upgrade` adds what params.yaml lacks"
BEGUN = re.compile(r"Running stage '(.+)':$")


def run_stage(
    name: str,
    on_line: Callable[[str], None],
    on_progress: Callable[[str], None],
    *,
    arguments: Sequence[str] = (),
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    inherited: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> None:
    """Run one stage (or .dvc file) by `dvc repro --single-item`.

    Args:
        arguments: more options of `dvc repro`.
        folder: the root of the tree, if it is not the working folder.
        environment: added to `inherited`.
        inherited: by default the environment of this process.
        python: the interpreter of DVC and of the stage.
        on_line: called with each line that DVC or the stage prints.
        on_progress: called with each state of a progress bar.

    Raises:
        StageError: the stage failed; the message has its last lines.
    """
    options = ("--single-item", *arguments, name)
    settings = (os.environ if inherited is None else inherited, environment or {})
    code, last = _repro(options, on_line, on_progress, settings, folder, python)
    if code:
        raise StageError(f"stage {name} failed: {_reason(name, last)}")


def run_stages(
    targets: Sequence[str],
    on_line: Callable[[str], None],
    on_progress: Callable[[str], None],
    *,
    folder: Path,
    python: str = sys.executable,
) -> list[str]:
    """Run `dvc repro` on some targets, or on all of dvc.yaml, and return the stages that ran, in order.

    A stage that DVC restores from its run cache does not run.

    Args:
        targets: names of stages, with which those before them run.
        folder: the root of the project.
        python: the interpreter of DVC and of the stages.
        on_line: called with each line that DVC or a stage prints.
        on_progress: called with each state of a progress bar.

    Raises:
        StageError: a stage failed, or DVC refuses; the message has its last lines.
    """
    ran: list[str] = []

    def look(line: str) -> None:
        if begun := BEGUN.match(line):
            ran.append(begun[1])
        on_line(line)

    code, last = _repro(("--", *targets), look, on_progress, (os.environ, {}), folder, python)
    if code:
        failed = f"stage {ran[-1]} failed" if ran else "dvc repro failed"
        raise StageError(f"{failed}: {_reason(ran[-1] if ran else '', last)}")
    return ran


def _repro(
    options: Sequence[str],
    on_line: Callable[[str], None],
    on_progress: Callable[[str], None],
    settings: tuple[Mapping[str, str], Mapping[str, str]],
    folder: Path | None,
    python: str,
) -> tuple[int, list[str]]:
    """The exit status of `dvc repro`, and the last lines of its output.

    Args:
        settings: the inherited environment, and what is set whatever it holds.
    """
    inherited, added = settings
    command = [python, "-m", "dvc", "repro", *options]
    apart = {"HEADSTART_PYTHON": python, "PYTHONUNBUFFERED": "1", **as_owner()}
    last: list[str] = []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**inherited, **apart, **added},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for text, is_line in _pieces(process.stdout):
            if is_line:
                last = [*last[-19:], text]
            (on_line if is_line else on_progress)(text)
        return process.wait(), last
    except BaseException:
        _stop(process)
        raise


def _reason(name: str, last: Sequence[str]) -> str:
    """The stage's own error if it printed one, else the last lines."""
    own = f"headstart {name}: error: "
    start = next((index for index, line in enumerate(last) if line.startswith(own)), None)
    if start is None:
        advice = f"\n{UPGRADE}" if any(UNSET in line for line in last) else ""
        return "\n" + "\n".join(last) + advice
    lines = [last[start].removeprefix(own), *last[start + 1 :]]
    end = next((index for index, line in enumerate(lines) if line.startswith("ERROR: ")), len(lines))
    return "\n".join(lines[:end]).strip()


def _pieces(stream: IO[bytes]) -> Iterator[tuple[str, bool]]:
    """Output of a process as it comes: (text, True) for a line, (text, False) for a progress bar's state."""
    pending = b""
    while chunk := os.read(stream.fileno(), 65536):
        pending += chunk
        while ends := [at for at in (pending.find(b"\n"), pending.find(b"\r")) if at >= 0]:
            end = min(ends)
            text, is_line = pending[:end].decode(errors="replace"), pending[end : end + 1] == b"\n"
            pending = pending[end + 1 :]
            if text.strip():
                yield text, is_line
    if pending.strip():
        yield pending.decode(errors="replace"), True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop DVC and its stage, which share a session of their own."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
