"""The source files that differ between two versions."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headstart.errors import LineageError
from headstart.ground.paths import CODE_LOCK
from headstart.repository import fresh_clone, package_archive
from headstart.versions.registry.record import REF_TAG, Record

Digests = Mapping[str, str]
OF_STAGES = ("src/headstart/ground", "src/headstart/pipeline")


def source_changes(before: Record, after: Record) -> dict[str, str]:
    """Differing source files that stages depend on, by path: changed, added or removed.

    dvc.lock names folders (in versions from before the packages moved: files). Their files are taken from the
    recorded commit and its uncommitted changes. If a commit is unavailable, whole folders are compared. Of a
    project without the code, dvc.lock names what each stage runs, and the record holds the package.
    """
    left, right = _recorded(before.lock), _recorded(after.lock)
    if left == right:
        return {}
    try:
        left, right = _files(before, left), _files(after, right)
    except LineageError:  # the section on commits reports it
        return _states(left, right)
    return _states(left, right)


def _states(left: Digests, right: Digests) -> dict[str, str]:
    states = {}
    for path in sorted({*left, *right}):
        if path not in left:
            states[path] = "added"
        elif path not in right:
            states[path] = "removed"
        elif left[path] != right[path]:
            states[path] = "changed"
    return states


def _recorded(lock: Mapping[str, Any]) -> Digests:
    """Source files and folders that stages depend on, with their digests in dvc.lock."""
    deps = [dep for stage in lock["stages"].values() for dep in stage.get("deps", [])]
    folders = {dep["path"]: dep["md5"] for dep in deps if dep["path"].startswith("src/")}
    return {**folders, **_locked(lock)}


def _locked(lock: Mapping[str, Any]) -> Digests:
    """Digests of the code that each stage runs, in a project that does not hold it, by a name for it."""
    params = {name: stage.get("params", {}).get(str(CODE_LOCK), {}) for name, stage in lock["stages"].items()}
    entries = {name: own.get(f"stages.{name}") for name, own in params.items()}
    return {f"code of {name}": own["code"] for name, own in entries.items() if own}


def _files(record: Record, deps: Digests) -> Digests:
    """The digests of these files and folders, file by file, from a clone at the record's commit.

    Raises:
        LineageError: the commit is unavailable.
    """
    with TemporaryDirectory() as folder:
        archive = Path(folder) / package_archive.NAME
        if record.shared_file(package_archive.NAME, archive):
            package_archive.unpack(archive, Path(folder) / "src")
            return _digests(Path(folder), OF_STAGES)
        clone = Path(folder) / "clone"
        ref = record.tags.get(REF_TAG, "")
        fresh_clone.clone_at(
            clone, record.commit, ref, lambda path: record.shared_file("commit.bundle", path)
        )
        fresh_clone.apply_diff(clone, record.diff)
        return _digests(clone / record.place, deps)


def _digests(project: Path, deps: Iterable[str]) -> Digests:
    return {
        path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for dep in deps
        for path in _within(project / dep)
    }


def _within(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
