"""Refs of runs, here and on the git remote: which no version names, and the removal of old ones."""

from collections.abc import Collection
from dataclasses import dataclass

from headstart.repository.commits import RUNS, VERSIONS, remote_name
from headstart.repository.programs import git, git_line

MOST = 500  # refs removed at once: the system limits the length of a command


@dataclass(frozen=True)
class Here:
    """Runs of this clone by their ids.

    Attributes:
        unnamed: that no `refs/versions/` names, the oldest first: the time of each one's commit, in seconds
            since 1970.
        named: the others.
    """

    unnamed: dict[str, float]
    named: set[str]


def runs_here() -> Here:
    """The runs that this clone has refs of, and those that its `refs/versions/` name."""
    fields = "%(refname) %(objectname) %(creatordate:unix) %(subject)"
    listed = git_line("for-each-ref", "--sort=creatordate", f"--format={fields}", RUNS, VERSIONS)
    found, named = {}, set()
    for line in listed.splitlines():
        ref, commit, seconds, subject = line.split(" ", 3)
        if ref.startswith(f"{VERSIONS}/"):
            named |= {commit, subject.removeprefix("Run ")}
        else:
            found[_run(ref)] = (commit, float(seconds))
    unnamed = {run: seconds for run, (commit, seconds) in found.items() if not {run, commit} & named}
    return Here(unnamed, (set(found) - set(unnamed)) | named)


def unnamed_there() -> set[str]:
    """Runs that the git remote has, and none of its `refs/versions/` names; empty without a remote.

    Raises:
        LineageError: the remote cannot be reached.
    """
    remote = remote_name()
    if remote is None:
        return set()
    listed = [
        line.split("\t") for line in git_line("ls-remote", remote, f"{RUNS}/*", f"{VERSIONS}/*").splitlines()
    ]
    named = {commit for commit, ref in listed if ref.startswith(f"{VERSIONS}/")}
    return {_run(ref) for commit, ref in listed if ref.startswith(f"{RUNS}/") and commit not in named}


def remove_here(runs: Collection[str]) -> None:
    """Remove the refs of runs from this clone."""
    git("update-ref", "--stdin", stdin="".join(f"delete {RUNS}/{run}\n" for run in runs).encode())


def remove_there(runs: Collection[str]) -> str:
    """Remove the refs of runs from the git remote, and return its name.

    Raises:
        LineageError: there is no remote, or it cannot be reached, or refuses.
    """
    remote = str(remote_name())
    git("push", "--quiet", remote, "--delete", *(f"{RUNS}/{run}" for run in runs))
    return remote


def _run(ref: str) -> str:
    return ref.removeprefix(f"{RUNS}/")
