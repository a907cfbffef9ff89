"""DVC's settings and stores of files, through DVC's library: its command line cannot move files aside."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from dvc.config import Config, merge
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo
from dvc_data.hashfile.db import get_index
from dvc_objects.fs.generic import test_links

from headstart.errors import LineageError, RemoteUnreachable

OBJECT = re.compile(r"([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)$")
STAMP, STAMPED = "%Y%m%dT%H%M%SZ", re.compile(r"\d{8}T\d{6}Z")
KEPT_DAYS = 7
COPIED = ("core", "cache", "remote")  # sections of DVC's configuration
LINKS = ("reflink", "hardlink", "symlink", "copy")
OPENING = Lock()  # DVC sets this process's umask to 0 for a moment: two threads at once would leave it so
UNMOVABLE = ("http", "https")  # their files can be neither listed nor moved


class Store:
    """DVC's cache or one of its remotes: files by digest, and those that were moved aside.

    Attributes:
        name: for messages.
        aside: the folder that `put_aside` moves files to, in a subfolder named after the time.
    """

    def __init__(self, name: str, odb: Any) -> None:
        self.name = name
        self._odb, self._fs = odb, odb.fs
        self.aside = self._fs.join(self._fs.parent(self._fs.parent(odb.path)), "removed")

    @property
    def is_movable(self) -> bool:
        """Whether its kind of server can list and move files."""
        kinds = self._fs.protocol
        return not set([kinds] if isinstance(kinds, str) else kinds) & set(UNMOVABLE)

    def digests(self) -> set[str]:
        """All files in the store."""
        with self._reported():
            return set(self._below(self._odb.path))

    def size(self, digest: str) -> int:
        """Bytes of a file of the cache."""
        return Path(self._odb.oid_to_path(digest)).stat().st_size

    def read_list(self, digest: str) -> list[str] | None:
        """Digests of the files of a folder, from its list in the store or aside; None if neither has it."""
        with self._reported():
            aside = [self._place(self._fs.join(self.aside, stamp), digest) for stamp in self.stamps()]
            for path in (self._odb.oid_to_path(digest), *aside):
                if self._fs.exists(path):
                    return [str(entry.get("md5")) for entry in json.loads(self._fs.read_text(path))]
        return None

    def stamps(self) -> list[str]:
        """Times at which files were moved aside that are still there, oldest first."""
        with self._reported():
            if not self._fs.exists(self.aside):
                return []
            names = (self._fs.name(path.rstrip("/")) for path in self._fs.ls(self.aside, detail=False))
            return sorted(name for name in names if STAMPED.fullmatch(name))

    def put_aside(self, digests: Collection[str], stamp: str) -> None:
        """Move files aside, lists of folders first: DVC takes a folder as complete if its list is there."""
        folder = self._fs.join(self.aside, stamp)
        lists = [digest for digest in digests if digest.endswith(".dir")]
        files = [digest for digest in digests if not digest.endswith(".dir")]
        for part in (lists, files):
            self._move({self._odb.oid_to_path(digest): self._place(folder, digest) for digest in part})
        get_index(self._odb).clear()  # what DVC remembers of a remote

    def bring_back(self, wanted: Collection[str] | None = None) -> int:
        """Move files that were put aside to their places again, and return their number.

        Args:
            wanted: digests; None for everything.
        """
        count = 0
        for stamp in self.stamps():
            folder = self._fs.join(self.aside, stamp)
            with self._reported():
                aside = set(self._below(folder))
            found = aside if wanted is None else aside & set(wanted)
            for part in (False, True):  # lists of folders last
                self._move(
                    {
                        self._place(folder, digest): self._odb.oid_to_path(digest)
                        for digest in found
                        if digest.endswith(".dir") == part
                    }
                )
            count += len(found)
            if found == aside:
                self._drop(folder)
        return count

    def forget(self) -> int:
        """Remove for good what was put aside more than a week ago; return the number of files."""
        count = 0
        last = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        for stamp in self.stamps():
            folder = self._fs.join(self.aside, stamp)
            if datetime.strptime(stamp, STAMP).replace(tzinfo=UTC) < last:
                count += sum(1 for _ in self._below(folder))
                self._drop(folder)
        return count

    def _drop(self, folder: str) -> None:
        with self._reported():
            if self._fs.exists(folder):
                self._fs.rm(folder, recursive=True)

    def _below(self, folder: str) -> Iterator[str]:
        if self._fs.exists(folder):
            found = (OBJECT.search(path.replace("\\", "/")) for path in self._fs.find(folder))
            yield from (match[1] + match[2] for match in found if match)

    def _place(self, folder: str, digest: str) -> str:
        return str(self._fs.join(folder, digest[:2], digest[2:]))

    def _move(self, places: Mapping[str, str]) -> None:
        with self._reported(), ThreadPoolExecutor(self._fs.jobs) as pool:
            for folder in {self._fs.parent(path) for path in places.values()}:
                self._fs.makedirs(folder, exist_ok=True)
            for _ in pool.map(lambda pair: self._fs.mv(*pair), places.items()):
                pass

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Errors of any kind of file system, with the store's name."""
        try:
            yield
        except LineageError:
            raise
        except Exception as error:
            raise RemoteUnreachable(f"{self.name}: {type(error).__name__}: {error}") from error


def cache(folder: Path) -> Store:
    """DVC's cache of a project."""
    with _translated(folder):
        return Store(f"DVC's cache of {folder}", Repo(str(folder)).cache.local)


def remotes(folder: Path) -> list[str]:
    """Names of a project's DVC remotes."""
    with _translated(folder):
        return list(Repo(str(folder)).config["remote"])


def remote(folder: Path, name: str) -> Store | None:
    """A DVC remote of a project; None if it keeps versions itself, so that files have no digests there."""
    with _translated(folder):
        found = Repo(str(folder)).cloud.get_remote(name)
        if found.fs.version_aware or found.worktree:
            return None
        return Store(f"DVC remote {name!r}", found.odb)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other DVC commands from changing a project's files meanwhile."""
    with _translated(folder), Repo(str(folder)).lock:
        yield


def stamp_of_now() -> str:
    """The time, as the name of a folder."""
    return datetime.now(UTC).strftime(STAMP)


@dataclass(frozen=True)
class Settings:
    """DVC's settings of a project.

    Attributes:
        remote: name of the default remote, and `url` its address; "" if there is none.
        cache: the folder of the cache.
        link_types: how files of the cache may get into the project; DVC uses the first that works.
        working: those that work here, of all that DVC knows; None before there is a cache.
    """

    remote: str
    url: str
    cache: Path
    link_types: tuple[str, ...]
    working: tuple[str, ...] | None


def settings_of(folder: Path) -> Settings:
    """DVC's settings of a project, after a trial of each kind of link with a file that is removed again."""
    with OPENING, _translated(folder):
        repo = Repo(str(folder))
        odb, config = repo.cache.local, repo.config
        name = config["core"].get("remote") or ""
        wanted = odb.cache_types
        working = None
        if Path(odb.path).exists():
            beside = repo.fs.join(str(folder.resolve()), "file")
            working = tuple(test_links(list(LINKS), odb.fs, odb.path, repo.fs, beside))
        url = str(config["remote"].get(name, {}).get("url", ""))
        return Settings(name, url, Path(odb.path), tuple(wanted), working)


def share_settings(source: Path, target: Path) -> None:
    """Give a DVC project the cache and remotes of another one, through its `.dvc/config.local`."""
    with _translated(source):
        settings = Config(Repo.find_dvc_dir(str(source)), validate=False).load_config_to_level()
        cache_dir = str(Path(Repo(str(source)).cache.local_cache_dir).resolve())
    path = _dvc_folder(target) / "config.local"
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)  # a remote's section may hold a password
    path.chmod(0o600)
    with _translated(target), Config(str(path.parent)).edit("local", validate=False) as config:
        merge(config, {name: settings[name] for name in COPIED if name in settings})
        merge(config, {"cache": {"dir": cache_dir}})


def _dvc_folder(project: Path) -> Path:
    """The `.dvc` of a project; in one that is a part of a DVC repository, it is in a folder above."""
    try:
        return Path(Repo.find_dvc_dir(str(project)))
    except NotDvcRepoError:
        return project / ".dvc"


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except LockError as error:
        raise LineageError(f"DVC is at work in {folder}; wait for it to end, then try again") from error
    except DvcException as error:
        raise LineageError(f"DVC in {folder}: {error}") from error
