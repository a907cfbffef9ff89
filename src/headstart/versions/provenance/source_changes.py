"""The source files that differ between two versions."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headstart.errors import LineageError
from headstart.repository import fresh_clone
from headstart.versions.registry.record import REF_TAG, Record

Digests = Mapping[str, str]


def source_changes(before: Record, after: Record) -> dict[str, str]:
    """Differing source files that stages depend on, by path: changed, added or removed.

    dvc.lock names folders (in versions from before the packages moved: files). Their files are taken from the
    recorded commit and its uncommitted changes. If a commit is unavailable, whole folders are compared.
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
    return {dep["path"]: dep["md5"] for dep in deps if dep["path"].startswith("src/")}


def _files(record: Record, deps: Digests) -> Digests:
    """The digests of these files and folders, file by file, from a clone at the record's commit.

    Raises:
        LineageError: the commit is unavailable.
    """
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        ref = record.tags.get(REF_TAG, "")
        fresh_clone.clone_at(
            clone, record.commit, ref, lambda path: record.shared_file("commit.bundle", path)
        )
        fresh_clone.apply_diff(clone, record.diff)
        project = clone / record.place
        return {
            path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for dep in deps
            for path in _within(project / dep)
        }


def _within(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
