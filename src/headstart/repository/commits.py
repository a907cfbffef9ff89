"""The git state behind a result: read it, keep it under a ref, push it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.errors import LineageError
from headstart.repository.new_files import check_stages_are_recorded, new_files
from headstart.repository.programs import git, git_line
from headstart.repository.results import LOCK, versioned_files

RUNS, VERSIONS, DATA_VERSIONS = "refs/runs", "refs/versions", "refs/data"
# never pushed: which data versions the DVC remote has, and which the git remote
STORED, SENT = "refs/stored", "refs/sent"
AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "headstart"), ("EMAIL", "headstart@localhost"))
}


@dataclass(frozen=True)
class Commit:
    """The git state of the tree.

    Attributes:
        commit: full hash of HEAD.
        branch: the current branch; "" if HEAD is detached.
        on_remote: whether a remote-tracking branch contains the commit.
        is_lasting: whether the default branch of a git remote contains it: no merge deletes that one.
        diff: binary patch from the commit to the tree, without dvc.lock; empty if the tree is clean.
        folder: the project's place in the repository; "." if it is the root.
        is_shallow: the clone lacks a part of the commit's history.
    """

    commit: str
    branch: str
    on_remote: bool
    is_lasting: bool
    diff: bytes
    folder: str
    is_shallow: bool

    @property
    def dirty(self) -> bool:
        return bool(self.diff)


def current_commit() -> Commit:
    """The state of the tree in git.

    Raises:
        LineageError: there is no repository, or no commit in it; or stages use a file that would not be
            recorded.
    """
    try:
        commit = git_line("rev-parse", "--verify", "HEAD")
    except LineageError as error:
        raise LineageError(
            f"{error}; a result is recorded by its commit, so the project must be a git repository with one "
            "(`git add -A && git commit`)"
        ) from error
    check_stages_are_recorded(new_files())
    with _index_of_tree() as index:
        # no setting of the user changes what it prints
        changed = ("diff-index", "--cached", "--binary", "--patch", "HEAD")
        diff = git(*changed, "--", ".", f":(exclude){LOCK}", env=index)
    return Commit(
        commit=commit,
        branch=git_line("branch", "--show-current"),
        on_remote=bool(git_line("branch", "--remotes", "--contains", commit)),
        is_lasting=bool(git_line("for-each-ref", "--contains", commit, "refs/remotes/*/HEAD")),
        diff=diff,
        folder=project_folder(),
        is_shallow=git_line("rev-parse", "--is-shallow-repository") == "true",
    )


def project_folder() -> str:
    """The project's place in the git repository; "." if it is the root."""
    return git_line("rev-parse", "--show-prefix").rstrip("/") or "."


def changed_paths() -> list[str]:
    """Files that differ from HEAD, apart from dvc.lock."""
    exclude = f":(exclude){LOCK}"
    with _index_of_tree() as index:
        listed = git(
            "diff", "--cached", "--name-only", "--relative", "-z", "HEAD", "--", ".", exclude, env=index
        )
    return [name.decode(errors="surrogateescape") for name in listed.split(b"\0") if name]


def check_recordable(here: Commit) -> None:
    """Refuse a commit that neither a git remote nor a bundle could give back.

    Raises:
        LineageError: the clone is shallow, and no remote has the commit.
    """
    if here.is_shallow and not here.on_remote:
        raise LineageError(
            f"no git remote has commit {here.commit[:12]}, and this clone is shallow, so a bundle of the "
            "commit would lack its history: push it, or get the history by `git fetch --unshallow`"
        )


def bundle(path: Path) -> None:
    """Write the history of HEAD as a git bundle, from which the commit can be cloned."""
    git("bundle", "create", "--quiet", str(path), "HEAD")


def keep_run(name: str) -> str:
    """Commit the tree as it stands, dvc.lock included, under `refs/runs/NAME`.

    Branches, the index and files stay unchanged.

    Returns:
        The ref.
    """
    ref = f"{RUNS}/{name}"
    _keep_tree(ref, f"Run {name}")  # `run_of_version` reads it
    return ref


def keep_data(digest: str) -> str:
    """Commit the tree as it stands under `refs/data/DIGEST` if that is new, to keep this version of the data.

    Args:
        digest: digest of the data in data.dvc.

    Returns:
        The ref.
    """
    ref = f"{DATA_VERSIONS}/{digest.removesuffix('.dir')}"
    if not git("for-each-ref", ref).strip():
        for kind in (STORED, SENT):  # its files may have been collected since the ref was deleted
            git("update-ref", "-d", _mark_of(ref, kind))
        _keep_tree(ref, f"Data {digest}")
    return ref


def _keep_tree(ref: str, message: str) -> None:
    with _index_of_tree() as index:
        if LOCK.exists():
            git("add", "--force", "--", str(LOCK), env=index)
        tree = git_line("write-tree", env=index)
    commit = git_line("commit-tree", tree, "-p", "HEAD", "-m", message, env=AUTHOR)
    git("update-ref", ref, commit)


def name_version(run: str, model: str, version: str) -> str:
    """Give a kept run a second name, `refs/versions/MODEL/VERSION`, and return it.

    Raises:
        LineageError: the name belongs to another run, as after a change of the tracking database.
    """
    named = f"{VERSIONS}/{model}/{version}"
    other = run_of_version(model, version)
    if other not in (None, run):
        raise LineageError(
            f"{named} names run {other}, which another tracking database has registered, not run {run}: it "
            f"was left as it is. Delete version {version} of {model} in MLflow and register again, which "
            f"takes a free number; or give up the other version by `git update-ref -d {named}`"
        )
    git("update-ref", named, f"{RUNS}/{run}")
    return named


def run_of_version(model: str, version: str) -> str | None:
    """The run that `refs/versions/MODEL/VERSION` names; None if there is no such ref."""
    return git_line("for-each-ref", "--format=%(subject)", f"{VERSIONS}/{model}/{version}")[4:] or None


def push_refs(refs: Sequence[str]) -> str | None:
    """Push refs to the git remote.

    Returns:
        The remote's name; None if the repository has none.

    Raises:
        LineageError: the remote cannot be reached, or refuses.
    """
    name = remote_name()
    if name is not None:
        git("push", "--quiet", name, *(f"{ref}:{ref}" for ref in refs))
    return name


def is_stored(ref: str) -> bool:
    """Whether the DVC remote is known to have the version of the data that a ref of `keep_data` keeps."""
    return _is_marked(ref, STORED)


def mark_stored(ref: str) -> None:
    """Remember that the DVC remote has the version of the data that a ref of `keep_data` keeps."""
    _mark(ref, STORED)


def send_data(ref: str) -> None:
    """Push a ref of `keep_data` to the git remote, unless another clone has pushed one for the same data.

    Raises:
        LineageError: the remote cannot be reached, or refuses.
    """
    name = remote_name()
    if name is not None and not git("ls-remote", name, ref).strip():
        push_refs([ref])
    _mark(ref, SENT)


def is_sent(ref: str) -> bool:
    """Whether `send_data` has succeeded for a ref."""
    return _is_marked(ref, SENT)


def _mark(ref: str, kind: str) -> None:
    git("update-ref", _mark_of(ref, kind), ref)


def _is_marked(ref: str, kind: str) -> bool:
    return bool(git("for-each-ref", _mark_of(ref, kind)).strip())


def _mark_of(ref: str, kind: str) -> str:
    return ref.replace("refs", kind, 1)


def remote_name(folder: Path | None = None) -> str | None:
    """The git remote that refs are pushed to; None if the repository has none.

    Args:
        folder: a clone; the working folder's by default.
    """
    names = git_line("remote", folder=folder).splitlines()
    return "origin" if "origin" in names else next(iter(names), None)


@contextmanager
def _index_of_tree() -> Iterator[dict[str, str]]:
    """A temporary index with changes to tracked files, new source files, and new .dvc files."""
    with TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", env=index)
        git("add", "--update", env=index)
        names = [*new_files().recorded, *(str(path) for path in versioned_files())]
        given = "\0".join(names).encode(errors="surrogateescape")
        if names:
            literal = {**index, "GIT_LITERAL_PATHSPECS": "1"}
            git("add", "--pathspec-from-file=-", "--pathspec-file-nul", env=literal, stdin=given)
        yield index
