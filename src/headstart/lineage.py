"""What made this result: the only caller of git and DVC."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ruamel.yaml import YAML

from headstart.errors import LineageError, StageError

PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
DATA = Path("data.dvc")
STOP_SECONDS = 10


@dataclass(frozen=True)
class Commit:
    """The git state of the tree.

    Attributes:
        commit: full hash of HEAD.
        branch: its branch, "" where HEAD is detached.
        on_remote: whether a remote-tracking branch holds the commit.
        diff: binary patch from the commit to the tree, without dvc.lock; "" where the tree is clean.
    """

    commit: str
    branch: str
    on_remote: bool
    diff: str

    @property
    def dirty(self) -> bool:
        return bool(self.diff)


def stage_names() -> list[str]:
    """The stages of dvc.yaml, in the order they are written there, which is the order they run."""
    return list(_yaml(PIPELINE)["stages"])


def stale() -> dict[str, Any]:
    """What `dvc status` finds changed, by stage or .dvc file; empty where all is up to date."""
    out = _dvc("status", "--json")
    changed: dict[str, Any] = json.loads(out.splitlines()[-1]) if out.strip() else {}
    return changed


def lock_digest() -> str:
    """SHA-256 of the deps, params and outs in dvc.lock: the identity of a result.

    Raises:
        LineageError: the pipeline has never run here.
    """
    stages = _yaml(LOCK)["stages"]
    kept = {
        name: {part: stage.get(part) for part in ("deps", "params", "outs")} for name, stage in stages.items()
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def data_version() -> str:
    """The digest that DVC knows the data by: the `md5` in data.dvc."""
    return str(_yaml(DATA)["outs"][0]["md5"])


def cache_data() -> None:
    """Put the data that stands in the tree into DVC's cache, under the digest that data.dvc names."""
    _dvc("commit", "--quiet", str(DATA))


def add(path: Path) -> None:
    """Version a file with DVC: `path.dvc` names it, DVC's cache holds it."""
    _dvc("add", "--quiet", str(path))


def pull_data() -> None:
    """Fetch the data that data.dvc names from the DVC remote.

    Raises:
        LineageError: no remote, or it does not hold the data.
    """
    _dvc("pull", str(DATA))


def current_commit() -> Commit:
    """Where the tree stands in git.

    Raises:
        LineageError: no repository, or no commit in it.
    """
    commit = _git("rev-parse", "--verify", "HEAD").strip()
    branches = _git("branch", "--remotes", "--contains", commit)
    return Commit(
        commit=commit,
        branch=_git("branch", "--show-current").strip(),
        on_remote=bool(branches.strip()),
        diff=_diff(),
    )


def bundle(path: Path) -> None:
    """Write the history of HEAD as a git bundle, from which the commit can be cloned."""
    _git("bundle", "create", "--quiet", str(path), "HEAD")


def run_stage(name: str, on_line: Callable[[str], None], on_progress: Callable[[str], None]) -> None:
    """Run one stage (or .dvc file) by `dvc repro --single-item`, with the interpreter of this process.

    Args:
        on_line: told of each line that DVC or the stage prints.
        on_progress: told of each state of a progress bar.

    Raises:
        StageError: it failed; the message has the last lines.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", name]
    environment = {**os.environ, "HEADSTART_PYTHON": sys.executable, "PYTHONUNBUFFERED": "1"}
    last: list[str] = []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
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
        raise StageError(f"stage {name} failed:\n" + "\n".join(last))


def _pieces(stream: IO[bytes]) -> Iterator[tuple[str, bool]]:
    """What a process prints, as it comes: (text, True) for a line, (text, False) for a bar's state."""
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
    """End DVC and its stage, which share a session of their own."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _diff() -> str:
    """Changes to tracked files and new files of src/ and flows/, by an index of their own."""
    with tempfile.TemporaryDirectory() as folder:
        index = {**os.environ, "GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git("read-tree", "HEAD", env=index)
        _git("add", "--update", env=index)
        new = [part for part in ("src", "flows") if Path(part).exists()]
        _git("add", "--all", "--", *new, env=index)
        return _git("diff", "--cached", "--binary", "HEAD", "--", ".", f":(exclude){LOCK}", env=index)


def _git(*arguments: str, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, env=env, errors="surrogateescape"
        )
    except FileNotFoundError as error:
        raise LineageError("git is not installed; a result is recorded by its commit") from error
    if done.returncode:
        raise LineageError(
            f"git {arguments[0]}: {done.stderr.strip()}; a result is recorded by its commit, so the "
            "project must be a git repository with one (`git add -A && git commit`)"
        )
    return done.stdout


def _dvc(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise LineageError(f"dvc {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def _yaml(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        raise LineageError(f"there is no {path}; run `dvc repro` (or `dvc add data`) first") from error
    return document
