"""DVC's files that git repositories need: those of refs, stashes, experiments, worktrees and remotes."""

import re
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import LineageError
from headstart.repository.commits import DATA_VERSIONS, RUNS, SENT, STORED, VERSIONS
from headstart.repository.programs import git, git_line

# Not read as YAML: a dvc.lock with conflict markers needs its files too, and there may be thousands.
DIGEST = re.compile(rb"^\s*-?\s*(deps|outs|params):|\b([0-9a-f]{32}(?:\.dir\b|\b))", re.MULTILINE)
ON_REMOTES = ("refs/heads", "refs/tags", "refs/exps", DATA_VERSIONS, RUNS, VERSIONS)
NAMES = (":(top,glob)**/dvc.lock", ":(top,glob)**/*.dvc")
LISTS = ("/stash", "/failed")  # refs whose earlier entries count too: `git stash`, the queue of `dvc exp`


@dataclass(frozen=True)
class Needs:
    """Needed digests and their origin.

    Attributes:
        digests: each with the name of something that needs it.
        deps: folders that are only deps of stages, such as source code, and so may never have been stored.
        names: all that needs something.
    """

    digests: dict[str, str]
    deps: frozenset[str]
    names: tuple[str, ...]


class Collector:
    """Collects what is needed, by whatever names it."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._outs: set[str] = set()
        self._names: dict[str, None] = {}

    def needs(self) -> Needs:
        folders = {digest for digest in self._digests if digest.endswith(".dir")}
        return Needs(self._digests, frozenset(folders - self._outs), tuple(self._names))

    def add_texts(self, name: str, texts: Iterable[bytes]) -> None:
        """All digests in the texts of dvc.lock and .dvc files are needed by `name`."""
        self._names.setdefault(name)
        for text in texts:
            part = b"outs"
            for section, found in DIGEST.findall(text):
                part = section or part
                if found:
                    self._digests.setdefault(found.decode(), name)
                if found and part == b"outs":
                    self._outs.add(found.decode())

    def add_folder(self, folder: Path, days: float, label: str = "") -> None:
        """All that the git repository of a project needs, with its worktrees and git remotes.

        Args:
            folder: of a project; git may be in a folder above. Without git, only its own files count.
            days: older refs under refs/runs are left out.
            label: put before each name.

        Raises:
            LineageError: a git remote cannot be reached, or an object is missing.
        """
        files = [folder / "dvc.lock", *folder.glob("*.dvc"), *folder.glob("artifacts/*.dvc")]
        self.add_texts(f"{label}this folder", (path.read_bytes() for path in files if path.is_file()))
        if not _is_git(folder):
            return
        refs = [*_refs(folder, days), *_remote_refs(folder, days)]
        blobs: dict[str, list[str]] = {}
        for name, commit in refs:
            for blob in _blobs(folder, commit, is_data_only=f"{DATA_VERSIONS}/" in name):
                blobs.setdefault(blob, []).append(f"{label}{name}")
            self._names.setdefault(f"{label}{name}")
        for tree in _worktrees(folder):
            name = f"{label}worktree {tree}"
            for blob in _indexed(tree):
                blobs.setdefault(blob, []).append(name)
            self.add_texts(name, (path.read_bytes() for path in _files(tree) if path.is_file()))
        for blob, text in _contents(folder, blobs):
            self.add_texts(blobs[blob][0], [text])


def _is_git(folder: Path) -> bool:
    try:
        return git_line("rev-parse", "--is-inside-work-tree", folder=folder) == "true"
    except LineageError as error:
        if "not a git repository" in str(error):
            return False
        raise


def _refs(folder: Path, days: float) -> list[tuple[str, str]]:
    """Name and commit of all refs but old runs and marks, of every worktree's HEAD, and of every stash."""
    found = []
    for line in git_line("worktree", "list", "--porcelain", folder=folder).splitlines():
        if line.startswith("HEAD ") and set(commit := line.removeprefix("HEAD ")) != {"0"}:
            found.append(("HEAD", commit))
    fields = "%(objectname) %(objecttype) %(*objecttype) %(creatordate:unix) %(refname)"
    for line in git_line("for-each-ref", f"--format={fields}", folder=folder).splitlines():
        commit, kind, inner, seconds, name = line.split(" ", 4)
        if "blob" in (kind, inner) or name.startswith((f"{STORED}/", f"{SENT}/")):
            continue  # marks keep nothing: the ref that they belong to does
        if not name.startswith(f"{RUNS}/") or _is_young(float(seconds or 0), days):
            found.append((name, commit))
        if name.endswith(LISTS):
            entries = git_line("log", "--walk-reflogs", "--format=%H %P", name, folder=folder)
            found += [(name, entry) for line in entries.splitlines() for entry in line.split()]
    return found


def _remote_refs(folder: Path, days: float) -> list[tuple[str, str]]:
    """The same for git's remotes as they are now. Their commits are fetched; no ref of this clone changes."""
    found = []
    for remote in git_line("remote", folder=folder).splitlines():
        try:
            listed = git_line("ls-remote", remote, *(f"{refs}/*" for refs in ON_REMOTES), folder=folder)
        except LineageError as error:
            raise LineageError(
                f"git remote {remote} does not say what its branches need ({error}): try again when it "
                f"answers, or forget it with `git remote remove {remote}`"
            ) from error
        refs = {name: commit for commit, name in (line.split("\t") for line in listed.splitlines())}
        names = [name for name in refs if not name.endswith("^{}")]  # commits of annotated tags
        if not names:
            continue
        quietly = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
        git("fetch", *quietly, "--stdin", remote, folder=folder, stdin="\n".join(names).encode())
        runs = [name for name in names if name.startswith(f"{RUNS}/")]
        seconds = _commit_times(folder, [refs[name] for name in runs])
        old = {name for name in runs if not _is_young(seconds[refs[name]], days)}
        found += [(f"{remote}: {name}", refs[name]) for name in names if name not in old]
    return found


def _commit_times(folder: Path, commits: Sequence[str]) -> dict[str, float]:
    """Seconds since 1970 of each commit."""
    if not commits:
        return {}
    text = "\n".join(commits).encode()
    listed = git("rev-list", "--no-walk", "--timestamp", "--stdin", folder=folder, stdin=text)
    pairs = (line.split() for line in listed.decode().splitlines())
    return {commit: float(seconds) for seconds, commit in pairs}


def _is_young(seconds: float, days: float) -> bool:
    return time.time() - seconds < days * 86400


def _worktrees(folder: Path) -> list[Path]:
    """The folders of all worktrees that exist."""
    listed = git_line("worktree", "list", "--porcelain", folder=folder).splitlines()
    found = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
    return [path for path in found if (path / ".git").exists()]


def _blobs(folder: Path, commit: str, is_data_only: bool = False) -> list[str]:
    """Objects of all dvc.lock and .dvc files of a commit, in whatever folder.

    Args:
        is_data_only: leaves dvc.lock out: a version of the data needs no outs of stages.
    """
    listed = git("ls-tree", "-r", "-z", "--full-tree", commit, folder=folder).split(b"\0")
    return _named((line for line in listed if line.endswith(b".dvc") or not is_data_only), at=2)


def _indexed(tree: Path) -> list[str]:
    """The same for what a worktree's index holds."""
    return _named(git("ls-files", "--stage", "-z", "--", *NAMES, folder=tree).split(b"\0"), at=1)


def _named(lines: Iterable[bytes], at: int) -> list[str]:
    found = []
    for line in lines:
        before, _, name = line.partition(b"\t")
        if name.endswith(b".dvc") or name.rpartition(b"/")[2] == b"dvc.lock":
            found.append(before.split(b" ")[at].decode())
    return found


def _files(tree: Path) -> list[Path]:
    """dvc.lock and .dvc files in a worktree as they are on disk."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *NAMES, folder=tree)
    return [tree / name.decode(errors="surrogateescape") for name in listed.split(b"\0") if name]


def _contents(folder: Path, blobs: Collection[str]) -> Iterable[tuple[str, bytes]]:
    """Each blob with its bytes.

    Raises:
        LineageError: one is missing.
    """
    if not blobs:
        return
    out = git("cat-file", "--batch", folder=folder, stdin="".join(f"{blob}\n" for blob in blobs).encode())
    start = 0
    for blob in blobs:
        end = out.index(b"\n", start)
        fields = out[start:end].split(b" ")
        if fields[-1] == b"missing":
            raise LineageError(f"git has lost object {blob}, so what it needs is unknown; see `git fsck`")
        size = int(fields[2])
        yield blob, out[end + 1 : end + 1 + size]
        start = end + 1 + size + 1
