"""Move aside what no ref, stash, worktree, recent run or version needs of DVC's cache and remote."""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from headstart.errors import LineageError
from headstart.ground.wording import named
from headstart.repository import stores
from headstart.repository.needs import Collector, Needs
from headstart.repository.stores import Store


@dataclass(frozen=True)
class Garbage:
    """Files that were, or would be, moved aside.

    Attributes:
        cache, remote: digests of files; a folder's list of files ends in `.dir`.
        sizes: bytes by digest, for the files that the cache held.
        kept: names of the refs, versions and folders whose files are kept.
        lost: lists of folders that are nowhere, each with what needs it: their files may be among those
            found.
        aside: the folders that the files were moved to.
        left: why the remote was left as it is; "" if it was not.
        forgotten: number of files that were moved aside more than a week ago and are removed for good now.
    """

    cache: tuple[str, ...]
    remote: tuple[str, ...]
    sizes: Mapping[str, int]
    kept: tuple[str, ...]
    lost: Mapping[str, str]
    aside: tuple[str, ...] = ()
    left: str = ""
    forgotten: int = 0


def collect(
    records: Mapping[str, Mapping[str, Path]],
    *,
    days: float,
    remote: str | None,
    projects: Sequence[str],
    delete: bool,
    without_lists: bool = False,
) -> Garbage:
    """Find files that nothing needs, and move them aside if asked to.

    Whatever git knows, here or on its remotes, needs its files, in whatever folder of the repository: every
    ref, experiments of `dvc exp` and stashes among them, and every worktree with its uncommitted files.

    Args:
        records: per registered version, its recorded files by their place in the project.
        days: younger runs under refs/runs are kept too: a flow may be about to register one.
        remote: name of the DVC remote to clean as well.
        projects: other clones that share the cache or the remote; what they need is kept.
        delete: move the files aside, and remove for good what was moved a week ago; otherwise nothing
            changes, not even refs.
        without_lists: do so even if the list of a needed folder is nowhere.

    Raises:
        LineageError: a git remote cannot be reached, so that its branches are unknown; or it is unknown which
            files a folder needs.
    """
    collector = Collector()
    collector.add_folder(Path.cwd(), days)
    for project in projects:
        collector.add_folder(Path(project), days, f"{project}: ")
    for name, files in records.items():
        collector.add_texts(name, (path.read_bytes() for path in files.values()))
    needs = collector.needs()
    cache = stores.cache(Path.cwd())
    there, left = _remote_to_clean(remote)
    with ExitStack() as stack:
        if delete:
            stack.enter_context(stores.locked(Path.cwd()))
        held = {store: store.digests() for store in (cache, there) if store is not None}
        needed, lost = _with_files(needs, _Lists(held, projects))
        if delete and lost and not without_lists:
            raise LineageError(_about_lost(lost))
        found = {store: digests - needed for store, digests in held.items()}
        sizes = {digest: cache.size(digest) for digest in found[cache]}
        stamp = stores.stamp_of_now()
        forgotten = 0
        for store, digests in found.items() if delete else ():
            store.bring_back(needed)
            store.put_aside(digests, stamp)
            forgotten += store.forget()
    return Garbage(
        cache=tuple(sorted(found[cache])),
        remote=tuple(sorted(found[there])) if there is not None else (),
        sizes=sizes,
        kept=needs.names,
        lost=lost,
        aside=tuple(f"{store.aside}/{stamp}" for store, digests in found.items() if digests and delete),
        left=left,
        forgotten=forgotten,
    )


def restore(remote: str | None) -> int:
    """Bring back everything that was moved aside and is still there; return the number of files."""
    there, _ = _remote_to_clean(remote)
    with stores.locked(Path.cwd()):
        return sum(store.bring_back() for store in (stores.cache(Path.cwd()), there) if store is not None)


def _remote_to_clean(name: str | None) -> tuple[Store | None, str]:
    """The store of a DVC remote, or None and the reason for which it is left alone."""
    if name is None:
        return None, ""
    store = stores.remote(Path.cwd(), name)
    if store is None:
        return None, "it keeps versions of files itself"
    if not store.is_movable:
        return None, "files on a server of its kind cannot be listed and moved"
    return store, ""


class _Lists:
    """Lists of the files of folders, from the caches and remotes of this project and of others."""

    def __init__(self, held: Mapping[Store, set[str]], projects: Sequence[str]) -> None:
        self._held = held
        self._projects = projects

    @cached_property
    def _others(self) -> list[Store]:
        remotes = [stores.remote(Path.cwd(), name) for name in stores.remotes(Path.cwd())]
        caches = [stores.cache(Path(project)) for project in self._projects]
        return [*caches, *(store for store in remotes if store is not None)]

    def held(self, digest: str) -> list[str] | None:
        """A list that is in its place in a store that is cleaned."""
        return next((store.read_list(digest) for store in self._held if digest in self._held[store]), None)

    def anywhere(self, digest: str) -> list[str] | None:
        """A list that may be aside too, or in another store."""
        lists = (store.read_list(digest) for store in (*self._held, *self._others))
        return next((found for found in lists if found is not None), None)


def _with_files(needs: Needs, lists: _Lists) -> tuple[set[str], dict[str, str]]:
    """Needed digests, with those of all files of needed folders; and the folders whose lists are nowhere."""
    needed, lost = set(needs.digests), {}
    for digest, name in needs.digests.items():
        if digest.endswith(".dir"):
            files = lists.held(digest)
            if files is None and digest not in needs.deps:
                files = lists.anywhere(digest)
                if files is None:
                    lost[digest] = name
            needed.update(files or ())
    return needed, lost


def _about_lost(lost: Mapping[str, str]) -> str:
    folders = named((f"{digest} ({name})" for digest, name in lost.items()), most=5)
    return (
        f"which files are needed is unknown: the lists of folders {folders} are neither in DVC's cache nor "
        "on a remote, so nothing was removed. Fetch them (`dvc pull`, `dvc add`), name the clone that has "
        "them with --project, delete what names them, or give up these folders with --without-lists"
    )


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
