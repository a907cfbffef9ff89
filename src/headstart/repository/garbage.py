"""Remove files from DVC's cache and remote that no branch, tag, recent run or registered version needs."""

import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.repository.commits import AUTHOR, DATA_VERSIONS, RUNS
from headstart.repository.fresh_clone import share_dvc, write_files
from headstart.repository.programs import dvc, git, git_line
from headstart.repository.results import LOCK, PIPELINE, versioned_files

REMOVED = re.compile(r"^Removing (.+)$", re.MULTILINE)
KEPT = (DATA_VERSIONS, RUNS)
CACHE = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)$")


@dataclass(frozen=True)
class Garbage:
    """Files that were, or would be, removed.

    Attributes:
        cache, remote: digests of files; a folder's list of files ends in `.dir`.
        sizes: bytes by digest, for the files that the cache held.
        kept: names of the refs, versions and folders whose files are kept.
    """

    cache: tuple[str, ...]
    remote: tuple[str, ...]
    sizes: Mapping[str, int]
    kept: tuple[str, ...]


def collect(
    records: Mapping[str, Mapping[str, Path]],
    *,
    days: float,
    remote: str | None,
    projects: Sequence[str],
    delete: bool,
) -> Garbage:
    """Find files that nothing needs, and remove them if asked to.

    Args:
        records: per registered version, its recorded files by their place in the project.
        days: younger runs under refs/runs are kept too: a flow may be about to register one.
        remote: name of the DVC remote to clean as well.
        projects: other clones that share the cache or the remote; what they use is kept.
        delete: remove the files; otherwise nothing changes, not even refs.

    Raises:
        LineageError: a git remote cannot be reached, so that its branches are unknown.
    """
    cache = Path(dvc("cache", "dir").strip()).resolve()
    with TemporaryDirectory() as temporary:
        clone = Path(temporary) / "clone"
        refs = [*_refs(days), *(_remote_refs(days) if remote is not None else [])]
        kept = _clone_with_tags(clone, refs, records)
        share_dvc(clone)
        arguments = ["gc", "--all-tags", "--force"]
        if remote is not None:
            arguments += ["--cloud", "--remote", remote]
        if projects:
            arguments += ["--projects", *projects]
        sizes = {digest: path.stat().st_size for digest, path in _objects(cache)}
        said = dvc(*arguments, "--dry", folder=clone)  # only a dry run lists the files
        if delete:
            dvc(*arguments, folder=clone)
    here: list[str] = []
    there: list[str] = []
    for path in REMOVED.findall(said):
        found = CACHE.search(path)
        digest = "".join(found.groups()) if found else Path(path).name
        (here if Path(path).is_relative_to(cache) else there).append(digest)
    return Garbage(tuple(sorted(here)), tuple(sorted(there)), sizes, tuple(kept))


def _objects(cache: Path) -> Iterable[tuple[str, Path]]:
    for path in cache.glob("files/md5/??/*"):
        yield path.parent.name + path.name, path


def _clone_with_tags(
    clone: Path, refs: Sequence[tuple[str, str]], records: Mapping[str, Mapping[str, Path]]
) -> list[str]:
    """Make a repository with a tag for everything whose files must stay: DVC can keep what tags need.

    Returns:
        The names of what was tagged.
    """
    git("init", "--quiet", str(clone))
    objects = Path(git_line("rev-parse", "--git-path", "objects")).resolve()
    (clone / ".git/objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    kept = []
    for number, (name, commit) in enumerate(refs):
        git("update-ref", f"refs/tags/ref-{number}", commit, folder=clone)
        kept.append(name)
    here = {str(path): path for path in (PIPELINE, LOCK, *versioned_files()) if path.exists()}
    for number, (name, files) in enumerate({"this folder": here, **records}.items()):
        commit = _commit(clone, files)
        git("update-ref", f"refs/tags/record-{number}", commit, folder=clone)
        kept.append(name)
    if not (clone / ".dvc").exists():
        dvc("init", "--quiet", folder=clone)
    return kept


def _refs(days: float) -> list[tuple[str, str]]:
    """Name and commit of HEAD, branches, tags, data versions, and recent runs."""
    found = [("HEAD", git_line("rev-parse", "HEAD"))]
    pattern = ("refs/heads", "refs/remotes", "refs/tags", *KEPT)
    listed = git_line("for-each-ref", "--format=%(objectname) %(creatordate:unix) %(refname)", *pattern)
    for line in listed.splitlines():
        commit, seconds, name = line.split(" ", 2)
        if not name.startswith(f"{RUNS}/") or _is_young(float(seconds or 0), days):
            found.append((name, commit))
    return found


def _remote_refs(days: float) -> list[tuple[str, str]]:
    """The same for git's remotes as they are now. Their commits are fetched; no ref of this clone changes."""
    found = []
    for remote in git_line("remote").splitlines():
        listed = git_line("ls-remote", remote, *(f"{refs}/*" for refs in ("refs/heads", "refs/tags", *KEPT)))
        refs = {name: commit for commit, name in (line.split("\t") for line in listed.splitlines())}
        names = [name for name in refs if not name.endswith("^{}")]  # commits of annotated tags
        if not names:
            continue
        quietly = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
        git("fetch", *quietly, "--stdin", remote, stdin="\n".join(names).encode())
        runs = [name for name in names if name.startswith(f"{RUNS}/")]
        seconds = _commit_times([refs[name] for name in runs])
        old = {name for name in runs if not _is_young(seconds[refs[name]], days)}
        found += [(f"{remote}: {name}", refs[name]) for name in names if name not in old]
    return found


def _commit_times(commits: Sequence[str]) -> dict[str, float]:
    """Seconds since 1970 of each commit."""
    if not commits:
        return {}
    listed = git("rev-list", "--no-walk", "--timestamp", "--stdin", stdin="\n".join(commits).encode())
    pairs = (line.split() for line in listed.decode().splitlines())
    return {commit: float(seconds) for seconds, commit in pairs}


def _is_young(seconds: float, days: float) -> bool:
    return time.time() - seconds < days * 86400


def _commit(clone: Path, files: Mapping[str, Path]) -> str:
    """Create a commit that holds only these files."""
    with TemporaryDirectory(dir=clone.parent) as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        write_files(tree, files)
        env = {"GIT_INDEX_FILE": f"{folder}/index", "GIT_WORK_TREE": str(tree), "GIT_DIR": f"{clone}/.git"}
        git("add", "--all", "--force", ".", folder=tree, env=env)
        written = git_line("write-tree", folder=tree, env=env)
    return git_line("commit-tree", written, "-m", "kept", folder=clone, env=AUTHOR)


def prune_environments(days: float, delete: bool) -> list[Path]:
    """Find, and remove if asked to, old environments of reproductions and states of killed trainings."""
    from headstart.ground.paths import cache_folder

    before = time.time() - days * 86400
    folders = (cache_folder() / "environments", cache_folder() / "checkpoints")
    old = [path for folder in folders for path in folder.glob("*") if path.stat().st_mtime < before]
    for path in old if delete else []:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return old
