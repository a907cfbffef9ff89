"""The state of git and DVC that a result needs: identity, repository, remote. Nothing is changed."""

from pathlib import Path

from headstart.errors import LineageError
from headstart.host.ports import reach
from headstart.repository.programs import dvc, git_line

ABSENT = ("does not exist", "unable to find")  # DVC of an address that nothing was ever pushed to


def identity(folder: Path | None = None) -> str:
    """The name and address that git would put on a commit, without the time.

    Raises:
        LineageError: git has none, or would make one up.
    """
    said = git_line("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", folder=folder)
    return said.rpartition(">")[0] + ">"


def last_commit() -> tuple[str, float]:
    """Hash and time of HEAD, in seconds since 1970.

    Raises:
        LineageError: the folder is not in a git repository, or there is no commit.
    """
    git_line("rev-parse", "--is-inside-work-tree")
    try:
        commit, _, seconds = git_line("log", "-1", "--format=%H %ct", "HEAD").partition(" ")
    except LineageError as error:
        raise LineageError("the repository has no commit yet") from error
    return commit, float(seconds)


def ask_remote(name: str, url: str, seconds: float) -> bool:
    """Ask a DVC remote for its list of files; return whether it holds anything.

    A remote over HTTP cannot list files; that its server takes a connection has to do.

    Raises:
        RemoteUnreachable: it does not answer, or refuses.
        TimeoutError: it took longer than `seconds`.
        OSError: the server of an HTTP remote takes no connection.
    """
    if url.startswith(("http://", "https://")):
        reach(url)
        return True
    try:
        return bool(dvc("ls-url", f"remote://{name}", asks_remote=True, seconds=seconds).strip())
    except LineageError as error:
        if any(text in str(error) for text in ABSENT):
            return False
        raise
