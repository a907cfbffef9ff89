"""A worker's own clone: brought to a commit, given what travels beside it, and what it made handed back."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart.errors import LineageError, RemoteUnreachable
from headstart.repository.commits import changed_paths, current_commit
from headstart.repository.programs import dvc, git, git_line
from headstart.repository.results import DATA, LOCK, read_yaml, versioned_files

PARAMS = Path("params.yaml")


def check_own() -> None:
    """A worker changes no other tree than its own clone: the commit is checked out over what stands there.

    Raises:
        LineageError: the working folder is not the clone that HEADSTART_CLONE names.
    """
    if not is_own():
        own = os.environ.get("HEADSTART_CLONE")
        raise LineageError(
            f"this runs in a worker's own clone, but HEADSTART_CLONE is {own!r} and the folder {Path.cwd()}; "
            "set it for the worker, and leave it unset where you run `prefect deploy`, which writes it down"
        )


def is_own() -> bool:
    """Whether the working folder is a worker's own clone, which may be brought to another commit."""
    own = os.environ.get("HEADSTART_CLONE")
    return bool(own) and Path(str(own)).resolve() == Path.cwd()


def follow(branch: str) -> str:
    """Bring the clone to the newest commit of a branch on its git remote, with the data of that commit.

    dvc.lock stays as the last run left it, unless the branch has another one since: what was made is not made
    again.

    Returns:
        The commit.

    Raises:
        RemoteUnreachable: git's or DVC's remote does not answer.
        LineageError: git's has no such branch, or its data is nowhere.
    """
    _fetch()
    before = git_line("rev-parse", "HEAD")
    commit = git_line("rev-parse", "--verify", f"refs/remotes/origin/{branch}")
    kept = {
        path: path.read_bytes()
        for path in (LOCK, DATA)
        if path.exists() and git("ls-tree", before, str(path)) == git("ls-tree", commit, str(path))
    }
    git("checkout", "--quiet", "--force", "--detach", commit)
    for path, content in kept.items():
        path.write_bytes(content)
    dvc("pull", "--force", *(str(path) for path in versioned_files()), asks_remote=True)
    return commit


def _fetch() -> None:
    try:
        git("fetch", "--quiet", "--prune", "origin")
    except LineageError as error:
        raise RemoteUnreachable(str(error)) from error


def travelling() -> tuple[str, dict[str, str]]:
    """What another clone needs to run a stage of this tree: the commit, and texts of files by path.

    Raises:
        LineageError: code differs from the commit, or no git remote has it: another host has not the same.
    """
    here = current_commit()
    texts = {
        str(path): path.read_text(encoding="utf-8")
        for path in (PARAMS, LOCK, *versioned_files())
        if path.exists()
    }
    if others := [path for path in changed_paths() if path not in texts]:
        raise LineageError(
            f"a stage cannot run on another worker: {', '.join(others[:5])} differ from commit "
            f"{here.commit[:12]}, and only params.yaml, dvc.lock and .dvc files travel; commit and push first"
        )
    if not here.on_remote:
        raise LineageError(
            f"a stage cannot run on another worker: no git remote has commit {here.commit[:12]}; push it"
        )
    return here.commit, texts


def take(commit: str, texts: Mapping[str, str]) -> None:
    """Bring this clone to a commit and write the files that travelled beside it.

    Raises:
        LineageError: the commit is not on this clone's git remote, or a file is none that travels.
    """
    for path in map(Path, texts):
        if path not in (PARAMS, LOCK) and (path.suffix != ".dvc" or path.is_absolute() or ".." in path.parts):
            raise LineageError(f"only params.yaml, dvc.lock and .dvc files of the tree travel; got {path}")
    try:
        git("cat-file", "-e", f"{commit}^{{commit}}")
    except LineageError:
        _fetch()
    git("checkout", "--quiet", "--force", "--detach", commit)
    for name, text in texts.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def lock_entry(stage: str) -> str:
    """The entry of one stage in dvc.lock, as YAML."""
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump({stage: read_yaml(LOCK)["stages"][stage]}, out)
    return out.getvalue()


def merge_entry(stage: str, entry: str) -> None:
    """Put the entry that another clone made into dvc.lock; the entries of other stages stay.

    Raises:
        LineageError: it is not the entry of that stage.
    """
    made = YAML(typ="safe", pure=True).load(entry)
    if list(made) != [stage]:
        raise LineageError(f"expected the entry of stage {stage} in a dvc.lock, got {entry[:200]!r}")
    yaml = YAML()
    document: dict[str, Any] = yaml.load(LOCK) if LOCK.exists() else {"schema": "2.0", "stages": {}}
    document["stages"][stage] = made[stage]
    from headstart.ground.files import replacing

    with replacing(LOCK) as new:
        yaml.dump(document, new)


def push_stages(names: Sequence[str]) -> None:
    """Send what stages and .dvc files made to the DVC remote."""
    dvc("push", "--run-cache", *names, asks_remote=True)


def fetch_stage(name: str) -> None:
    """Have the outs of one stage as dvc.lock names them, from the DVC remote.

    Raises:
        LineageError: they are not there, or are not what it names.
    """
    dvc("pull", "--force", name, asks_remote=True)
    if is_stale(name):
        raise LineageError(f"stage {name}: what came from the DVC remote is not what its dvc.lock names")


def is_stale(name: str) -> bool:
    """Whether `dvc status` finds one stage changed."""
    said = dvc("status", "--json", name).strip()
    return bool(said) and said.splitlines()[-1] != "{}"
