"""A worker's own clone: check out a commit, write the files sent along with it, hand back the results."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart.errors import LineageError, RemoteUnreachable
from headstart.ground.reading import reading
from headstart.repository.commits import changed_paths, current_commit
from headstart.repository.programs import dvc, git, git_line
from headstart.repository.results import DATA, LOCK, RESTORE, read_yaml, versioned_files

PARAMS = Path("params.yaml")


def check_own() -> None:
    """Refuse any tree but the worker's own clone: a commit is checked out over whatever is there.

    Raises:
        LineageError: the working folder is not the clone that HEADSTART_CLONE names.
    """
    if not is_own():
        own = os.environ.get("HEADSTART_CLONE")
        raise LineageError(
            f"this runs only in a worker's own clone, but HEADSTART_CLONE is {own!r} in {Path.cwd()}; "
            "set it for the worker, and leave it unset when you run `prefect deploy`, which stores its value"
        )


def is_own() -> bool:
    """Whether the working folder is a worker's own clone, in which another commit may be checked out."""
    own = os.environ.get("HEADSTART_CLONE")
    return bool(own) and Path(str(own)).resolve() == Path.cwd()


def follow(branch: str) -> str:
    """Check out the newest commit of a branch on the git remote, with the data of that commit.

    dvc.lock and data.dvc stay as the last run left them unless the branch has new ones, so that finished work
    is not repeated.

    Returns:
        The commit.

    Raises:
        RemoteUnreachable: the git or DVC remote does not answer.
        LineageError: the git remote has no such branch, or the data cannot be found.
    """
    _fetch()
    before = git_line("rev-parse", "HEAD")
    commit = git_line("rev-parse", "--verify", f"refs/remotes/origin/{branch}")
    kept = {
        path: path.read_bytes()
        for path in (LOCK, DATA)
        if path.exists() and not _brings(path, before, commit)
    }
    git("checkout", "--quiet", "--force", "--detach", commit)
    for path, content in kept.items():
        path.write_bytes(content)
    fetch_outs(*(str(path) for path in versioned_files()))
    return commit


def _brings(path: Path, before: str, commit: str) -> bool:
    """Whether a commit has the file, and with other content than the one before it."""
    given = git("ls-tree", commit, str(path))
    return bool(given) and given != git("ls-tree", before, str(path))


def _fetch() -> None:
    try:
        git("fetch", "--quiet", "--prune", "origin")
    except LineageError as error:
        raise RemoteUnreachable(str(error)) from error


def travelling() -> tuple[str, dict[str, str]]:
    """Collect what another clone needs to run a stage of this tree: the commit, and file texts by path.

    Raises:
        LineageError: the code differs from the commit, or no git remote has the commit, so that another
            host would not run the same code.
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
            f"{here.commit[:12]}, and only params.yaml, dvc.lock and .dvc files are sent; commit and push"
        )
    if not here.on_remote:
        raise LineageError(
            f"a stage cannot run on another worker: no git remote has commit {here.commit[:12]}; push it"
        )
    return here.commit, texts


def take(commit: str, texts: Mapping[str, str]) -> None:
    """Check out a commit in this clone and write the files that were sent along with it.

    Raises:
        LineageError: the commit is not on this clone's git remote, or a file may not be sent along.
    """
    for path in map(Path, texts):
        if path not in (PARAMS, LOCK) and (path.suffix != ".dvc" or path.is_absolute() or ".." in path.parts):
            raise LineageError(f"only params.yaml, dvc.lock and .dvc files may be sent along; got {path}")
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
    """Put an entry written by another clone into dvc.lock; the entries of other stages stay.

    Raises:
        LineageError: it is not an entry of that stage.
    """
    made = YAML(typ="safe", pure=True).load(entry)
    if list(made) != [stage]:
        raise LineageError(f"expected the entry of stage {stage} in a dvc.lock, got {entry[:200]!r}")
    yaml = YAML()
    with reading(LOCK, RESTORE):
        document: dict[str, Any] = yaml.load(LOCK) if LOCK.exists() else {"schema": "2.0", "stages": {}}
        document["stages"][stage] = made[stage]
    from headstart.ground.files import replacing

    with replacing(LOCK) as new:
        yaml.dump(document, new)


def push_stages(names: Sequence[str]) -> None:
    """Push the outs of stages, and the files that .dvc files name, to the DVC remote."""
    dvc("push", "--run-cache", *names, asks_remote=True)


def fetch_outs(*targets: str) -> None:
    """Fetch the outs of stages from the DVC remote, as listed in dvc.lock, and what .dvc files name.

    Raises:
        LineageError: they are not there.
    """
    dvc("pull", "--force", *targets, asks_remote=True)


def fetch_stage(name: str) -> None:
    """Fetch the outs of one stage, and check that nothing which it depends on has changed.

    Raises:
        LineageError: they are not there, or differ from dvc.lock.
    """
    fetch_outs(name)
    if is_stale(name):
        raise LineageError(f"stage {name}: the files fetched from the DVC remote differ from its dvc.lock")


def is_stale(name: str) -> bool:
    """Whether `dvc status` reports a stage as changed."""
    said = dvc("status", "--json", name).strip()
    return bool(said) and said.splitlines()[-1] != "{}"
