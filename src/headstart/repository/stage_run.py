"""Run one stage of dvc.yaml as a process: pass its output on as it comes, and stop it when we stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from headstart.errors import StageError
from headstart.host.owner import as_owner

STOP_SECONDS = 10


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
    command = [python, "-m", "dvc", "repro", "--single-item", *arguments, name]
    apart = {"HEADSTART_PYTHON": python, "PYTHONUNBUFFERED": "1", **as_owner()}
    settings = {**apart, **(environment or {})}
    last: list[str] = []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**(os.environ if inherited is None else inherited), **settings},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for text, is_line in _pieces(process.stdout):
            if is_line:
                last = [*last[-19:], text]
            (on_line if is_line else on_progress)(text)
        code = process.wait()
    except BaseException:
        _stop(process)
        raise
    if code:
        raise StageError(f"stage {name} failed: {_reason(name, last)}")


def _reason(name: str, last: Sequence[str]) -> str:
    """The stage's own error if it printed one, else the last lines."""
    own = f"headstart {name}: error: "
    start = next((index for index, line in enumerate(last) if line.startswith(own)), None)
    if start is None:
        return "\n" + "\n".join(last)
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
