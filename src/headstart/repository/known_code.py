"""The code that this project's git has: of a commit on one of its branches, or of a tree kept for a run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headstart.errors import LineageError, RemoteUnreachable
from headstart.ground.paths import CODE_LOCK
from headstart.repository.code_lock import SERVED
from headstart.repository.commits import RUNS
from headstart.repository.programs import git, git_line

OWN_REFS = ("refs/heads", "refs/remotes", "refs/tags", RUNS, "refs/versions", "refs/data")  # no pull requests
HASH = re.compile(r"[0-9a-f]{40,64}")
RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Tree:
    """The code that git has at one commit.

    Attributes:
        files: git's digest of each file, by its path below the root.
        served: the digest of the code that headstart.lock.yaml names for answers; None without that file: a
            clone of Headstart has the code itself.
    """

    files: Mapping[str, str]
    served: str | None


def trees(commit: str, run_id: str, folder: str) -> Iterator[Tree]:
    """The code in a folder at a commit, and as kept for a run with its uncommitted changes.

    Both names may come from a tracking server. A commit counts only if a branch, a tag or a kept run of this
    clone or of its git remotes contains it: a hosting service hands out anybody's commits by their hash.
    The remotes are asked after both trees of this clone.

    Raises:
        RemoteUnreachable: a git remote does not answer.
    """
    wanted = [commit] if HASH.fullmatch(commit) else []
    wanted += [f"{RUNS}/{run_id}"] if RUN_ID.fullmatch(run_id) else []
    yield from (Tree(_files(name, folder), _served(name)) for name in wanted if _is_own(name))
    if wanted and _fetch(run_id):
        yield from (Tree(_files(name, folder), _served(name)) for name in wanted if _is_own(name))


def _served(name: str) -> str | None:
    try:
        text = git("cat-file", "blob", f"{name}:./{CODE_LOCK}").decode("utf-8")
    except LineageError:  # no such file
        return None
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError:  # committed with the marks of a conflict
        return None
    return str(found[SERVED]) if isinstance(found, dict) and SERVED in found else None


def digests(files: Sequence[Path]) -> list[str]:
    """Git's digests of files on this machine, in the order given."""
    return git_line(
        "hash-object", "--no-filters", "--", *(str(path.resolve()) for path in files)
    ).splitlines()


def _is_own(name: str) -> bool:
    try:
        commit = git_line("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if git("for-each-ref", "--count=1", "--contains", commit, *OWN_REFS):
            return True
        return git_line("merge-base", commit, "HEAD") == commit  # a worker's HEAD is on no branch
    except LineageError:  # no such commit here
        return False


def _files(name: str, folder: str) -> dict[str, str]:
    listed = git("ls-tree", "-r", "-z", name, "--", folder).decode(errors="surrogateescape")
    entries = [entry.split("\t", 1) for entry in listed.split("\0") if entry]
    return {path: about.split()[2] for about, path in entries}


def _fetch(run_id: str) -> bool:
    """Bring the branches of all git remotes, and the run's ref; returns whether there is a remote."""
    run = [f"+{RUNS}/{run_id}*:{RUNS}/{run_id}*"] if RUN_ID.fullmatch(run_id) else []  # may match none
    try:
        names = git_line("remote").splitlines()
    except LineageError:  # no repository
        return False
    for name in names:
        try:
            git("fetch", "--quiet", name, f"+refs/heads/*:refs/remotes/{name}/*", *run)
        except LineageError as error:
            raise RemoteUnreachable(str(error)) from error
    return bool(names)
