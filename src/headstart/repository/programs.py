"""Run git and DVC in a folder, and turn their failures into our own errors."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from headstart.errors import LineageError, RemoteUnreachable
from headstart.host.bounded_process import run_bounded

LASTING = (  # errors of DVC about a remote for which retrying does not help
    "no remote specified",
    "config file error",
    "to be installed",
    "missing-files",
    "Permission denied",
)
GIT_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10"}


def git(
    *arguments: str, folder: Path | None = None, env: Mapping[str, str] | None = None, stdin: bytes = b""
) -> bytes:
    """Run git and return its output, as bytes because a patch may hold any.

    Args:
        env: added to the environment. Git never asks for a password; it fails instead.

    Raises:
        LineageError: git failed; the message includes git's own.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**GIT_QUIET, **os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
        )
    except FileNotFoundError as error:
        raise LineageError("git is not installed; it is needed to record the commit of a result") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise LineageError(f"git {arguments[0]}: {said or f'exit status {done.returncode}, without a word'}")
    return done.stdout


def git_line(*arguments: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run git and return its output as one stripped text."""
    return git(*arguments, folder=folder, env=env).decode(errors="surrogateescape").strip()


def dvc(
    *arguments: str,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
    asks_remote: bool = False,
    seconds: float | None = None,
) -> str:
    """Run DVC and return its standard output.

    Args:
        asks_remote: the command needs the DVC remote, so that a failure may be the remote's.
        seconds: after which it is killed; None waits for as long as it takes.

    Raises:
        TimeoutError: it took longer.
        RemoteUnreachable: the remote was needed, and the error does not point to another cause.
        LineageError: DVC failed; the message includes DVC's own.
    """
    command, environment = [python, "-m", "dvc", *arguments], {**os.environ, **(env or {})}
    if seconds is None:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    else:
        done = run_bounded(command, seconds, folder=folder, env=environment)
    if done.returncode:
        said = done.stderr.strip()
        hint = ""
        if "no remote specified" in said:
            hint = "; name one: `dvc remote add --default NAME URL`"
        may_pass = asks_remote and not any(text in said for text in LASTING)
        kind = RemoteUnreachable if may_pass else LineageError
        raise kind(f"dvc {arguments[0]}: {said}{hint}")
    return done.stdout
