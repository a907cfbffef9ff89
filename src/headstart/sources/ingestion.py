"""Bring new, changed and removed images of a source, a folder or any URL fsspec supports, into `data/`."""

import hashlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from headstart.errors import DamagedFile, DataError, SourceUnreachable
from headstart.ground.files import write_json
from headstart.ground.paths import cache_folder
from headstart.ground.reading import load_json
from headstart.ground.wording import named
from headstart.pipeline.data.decoding import read_picture
from headstart.pipeline.data.listing import is_ignored, is_named_like_an_image
from headstart.pipeline.data.reading import NOT_UTF8, is_utf8, kind_of, read_file, shown

log = logging.getLogger(__name__)

ARRIVING = ".arriving"  # below the data folder while files are copied; neither an image nor a class
SHOWN = 5  # files that a sentence names
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
PATIENCE_SECONDS = 24 * 3600  # how long a file that cannot be decoded counts as unfinished


@dataclass(frozen=True)
class Brought:
    """The changes made, by path below the data folder.

    Attributes:
        waiting: files that are still being written.
        refused: path and reason of each file that cannot be copied.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    waiting: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def anything(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def sentence(self) -> str:
        """A one-line summary."""
        waiting = f"; {len(self.waiting)} still arriving, left for next time" if self.waiting else ""
        refused = f"; {_listed(dict(self.refused))}" if self.refused else ""
        counts = f"{len(self.new)} new, {len(self.changed)} changed, {len(self.removed)} removed"
        return f"{counts}{waiting}{refused}"


def bring(source: str, data: Path, settle_seconds: float, max_removed: float) -> Brought:
    """Make the contents of `data` match those of the source.

    A file whose size and time have not changed since the last check is not read again. One that changed in
    the last `settle_seconds`, is named like an unfinished download, changes while it is copied, or is recent
    and cannot be decoded is left for next time. What is no regular file, or has a name that is not UTF-8, is
    refused; a file that `data` has under that name stays.

    Args:
        source: a folder, or a URL such as `s3://bucket/images`.
        max_removed: share of the files in `data` that may be missing in the source.

    Raises:
        DataError: the source is empty, a folder of it cannot be listed or is a link, or it lacks more than
            `max_removed`; nothing was changed.
        SourceUnreachable: the source does not answer now.
    """
    _check_apart(source, data)
    there, refused = _list(source)
    shutil.rmtree(data / ARRIVING, ignore_errors=True)  # left by a run that was killed
    here = {name for name in _files(data) if _counts(name)}
    removed = sorted(here - there.keys() - refused.keys())
    if here and len(removed) > max_removed * len(here):
        raise DataError(
            f"data.source {source} lacks {len(removed)} of the {len(here)} images in {data} (first: "
            f"{removed[0]}); data.max_removed allows {max_removed:g} of them. Is it complete? Nothing was "
            "changed"
        )
    known = _known(source, data)
    new, changed, waiting = [], [], []
    for name in removed:  # first, because what was a file may be a folder now
        _remove(data / name, data)
        known.pop(name, None)
    for name, file in sorted(there.items()):
        mark = [file.size, file.modified]
        last = known.get(name)
        before = _digest_here(data / name, last) if name in here else None
        if last is not None and last["source"] == mark and last["digest"] == before:
            last["here"] = _stat(data / name)
            continue
        if file.is_young(settle_seconds) or not _copy(file, data, name):
            waiting.append(name)
            continue
        after = _digest(data / name)
        if before is None:
            new.append(name)
        elif before != after:
            changed.append(name)
        known[name] = {"source": mark, "here": _stat(data / name), "digest": after}
    write_json(_state(source, data), known)
    unusable = tuple((shown(name), reason) for name, reason in sorted(refused.items()))
    return Brought(tuple(new), tuple(changed), tuple(removed), tuple(waiting), unusable)


@dataclass(frozen=True)
class _File:
    """A file of the source; `modified` in seconds since 1970, None if the source does not report it."""

    system: Any
    path: str
    size: int
    modified: float | None

    def is_young(self, seconds: float) -> bool:
        return self.modified is not None and abs(time.time() - self.modified) < seconds


def _list(source: str) -> tuple[dict[str, _File], dict[str, str]]:
    """The files of a source by name, and the reason for each that cannot be copied."""
    try:
        system, root = fsspec.core.url_to_fs(source)
        system.invalidate_cache()
        is_local = isinstance(system, LocalFileSystem)
        found = dict(_find_here(system, root)) if is_local else system.find(root, detail=True)
    except ImportError as error:
        raise DataError(f"data.source {source}: {error}; install it (docs/data.md, DVC remotes)") from error
    except Exception as error:  # each kind of source has its own errors
        may_pass = isinstance(error, OSError) and not isinstance(error, FileNotFoundError | PermissionError)
        kind = SourceUnreachable if may_pass else DataError
        raise kind(f"data.source {source} cannot be read: {type(error).__name__}: {error}") from error
    root = root.rstrip("/")
    files, refused = {}, {}
    for path, info in found.items():
        name = path[len(root) :].lstrip("/")
        if not path.startswith(root) or ".." in name.split("/"):
            raise DataError(
                f"data.source {source} lists {path!r}, which lies outside of it; nothing was changed"
            )
        if not name or not _counts(name):
            continue
        if reason := _refused(source, name, info, is_local):
            refused[name] = reason
        else:
            files[name] = _File(system, path, int(info.get("size") or 0), _modified(info))
    if not files:
        also = f" but {_listed(refused)}" if refused else ""
        raise DataError(
            f"data.source {source} holds no files{also}; expected one subfolder per class. Nothing was "
            "changed"
        )
    return files, refused


def _listed(refused: Mapping[str, str]) -> str:
    """How many files cannot be copied, and the first of them."""
    reasons = named((f"{shown(name)}: {reason}" for name, reason in refused.items()), SHOWN)
    return f"{len(refused)} cannot be copied ({reasons})"


def _find_here(system: Any, root: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List a folder of this machine with its subfolders; fsspec's `find` takes an unreadable one as empty."""
    folders = [root]
    while folders:
        for info in _entries(system, folders.pop()):
            if info["type"] == "directory":
                folders.append(info["name"])
            else:
                yield info["name"], _followed(system, info)


def _followed(system: Any, info: Mapping[str, Any]) -> Mapping[str, Any]:
    """Size and time of the file that a link leads to, as they are compared after copying it."""
    if not info["islink"]:
        return info
    try:
        found: Mapping[str, Any] = system.info(info["name"])
    except OSError:  # it leads nowhere
        return info
    return found


def _entries(system: Any, folder: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = system.ls(folder, detail=True)
    except FileNotFoundError:  # it was removed meanwhile
        return []
    return found


def _refused(source: str, name: str, info: Mapping[str, Any], is_local: bool) -> str:
    """The reason why an entry of the source cannot be copied; empty if it can.

    Raises:
        DataError: it is a link to a folder, which may hold many images.
    """
    if not is_utf8(name):
        return NOT_UTF8
    if not is_local:
        return ""
    try:
        mode = Path(info["name"]).stat().st_mode
    except OSError as error:
        return error.strerror or str(error)
    if stat.S_ISDIR(mode):
        raise DataError(
            f"data.source {source}: {name} is a link to a folder, and such links are not followed; put the "
            "folder itself there. Nothing was changed"
        )
    if kind := kind_of(mode):
        return f"is {kind}, expected a file"
    return "" if os.access(info["name"], os.R_OK) else "may not be read"


def _files(folder: Path) -> Iterator[str]:
    """The files below a folder, as POSIX paths relative to it."""
    for above, _, names in os.walk(folder, onerror=_cannot_list):
        for name in names:
            path = Path(above, name)
            if path.is_file():
                yield path.relative_to(folder).as_posix()


def _cannot_list(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # without data/ there is nothing yet
        raise DataError(f"the folder {error.filename} cannot be listed: {error.strerror}; make it readable")


def _counts(name: str) -> bool:
    """Whether a file is copied: hidden files, the likes of Thumbs.db and unfinished downloads are not."""
    return not any(map(is_ignored, name.split("/"))) and not name.lower().endswith(UNFINISHED)


def _modified(info: Mapping[str, Any]) -> float | None:
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None


def _copy(file: _File, data: Path, name: str) -> bool:
    """Copy a file into `data`; if it is not complete yet, return False and leave `data` as it was."""
    try:
        with _arriving(data) as new:
            with file.system.open(file.path, "rb") as source, new.open("wb") as written:
                _copy_bytes(source, written, file.size)
            file.system.invalidate_cache()
            now = file.system.info(file.path)
            if not new.stat().st_size == file.size == now["size"] or _modified(now) != file.modified:
                return False
            if is_named_like_an_image(name) and file.is_young(PATIENCE_SECONDS) and not _decodes(new):
                return False
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            new.replace(data / name)
    except FileNotFoundError:  # it was removed while being read
        return False
    except OSError as error:
        raise SourceUnreachable(f"{file.path} cannot be copied to {data / name}: {error}") from error
    return True


def _copy_bytes(source: BinaryIO, written: BinaryIO, size: int) -> None:
    """Copy as many bytes as were listed, and one more if there are more: such a file is still growing."""
    left = size + 1
    while left and (part := source.read(min(left, 1 << 20))):
        written.write(part)
        left -= len(part)


@contextmanager
def _arriving(data: Path) -> Iterator[Path]:
    """A place for one file on the disk of `data`; renaming it from there never writes through a DVC link."""
    folder = data / ARRIVING
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder / "file"
    finally:
        shutil.rmtree(folder)


def _check_apart(source: str, data: Path) -> None:
    """Refuse a folder that is `data`, lies in it or contains it: copied files would be copied again."""
    if "://" in source and not source.startswith("file://"):
        return
    theirs, ours = Path(source.removeprefix("file://")).resolve(), data.resolve()
    if theirs.is_relative_to(ours) or ours.is_relative_to(theirs):
        raise DataError(f"data.source {source} and {data} overlap; name a folder outside of {ours}")


def _remove(path: Path, data: Path) -> None:
    """Remove a file, and the folders that this leaves empty: an empty folder would be a class."""
    path.unlink()
    for folder in path.parents:
        if folder == data or any(folder.iterdir()):
            return
        folder.rmdir()


def _stat(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _digest_here(path: Path, known: Mapping[str, Any] | None) -> str:
    """The digest of a file in `data`; one that has not changed since the last check is not read again."""
    if known is not None and known["here"] == _stat(path):
        return str(known["digest"])
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decodes(path: Path) -> bool:
    try:
        with read_picture(read_file(path)):
            return True
    except DataError:
        return False


def _state(source: str, data: Path) -> Path:
    key = hashlib.sha256(f"{source}\n{data.resolve()}".encode()).hexdigest()[:16]
    folder: Path = cache_folder() / "sources"
    return folder / f"{key}.json"


def _known(source: str, data: Path) -> dict[str, dict[str, Any]]:
    """Result of the last check, by name: the file at the source, the file here, and the digest of both.

    It only saves reading files again, so one that is damaged counts as none and is written anew.
    """
    path = _state(source, data)
    try:
        known = load_json(path) if path.exists() else {}
    except DamagedFile as error:
        log.warning("all files of the source are read again: %s", error)
        return {}
    is_whole = isinstance(known, dict) and all(
        isinstance(each, dict) and each.keys() == {"source", "here", "digest"} for each in known.values()
    )
    return known if is_whole else {}
