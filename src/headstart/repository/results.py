"""DVC's view of the project: its stages, whether they are up to date, and digests of results and data."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart.errors import DamagedFile, LineageError
from headstart.ground import paths
from headstart.ground.reading import reading
from headstart.ground.wording import shown
from headstart.pipeline.data.reading import kind_of
from headstart.repository.programs import dvc

PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
DATA = Path("data.dvc")
CONFLICT = ("<<<<<<< ", ">>>>>>> ")
RESTORE = (
    "restore it with `git checkout` (in a merge with --ours or --theirs), or delete a dvc.lock that git does "
    "not have; then run `dvc repro`, which writes dvc.lock, or `dvc add data`, which writes data.dvc"
)


def stage_names() -> list[str]:
    """The stages in the order of dvc.yaml, which is the order they run in."""
    with reading(PIPELINE, RESTORE):
        return list(read_yaml(PIPELINE)["stages"])


def unset_params(folder: Path = Path()) -> list[str]:
    """The keys and sections that dvc.yaml lists and params.yaml lacks: DVC runs no stage without its own.

    Args:
        folder: the root of the project.
    """
    stages = read_yaml(folder / PIPELINE)["stages"].values()
    listed = {key: None for stage in stages for key in stage.get("params", ()) if isinstance(key, str)}
    document = read_yaml(folder / paths.PARAMS)
    return [key for key in listed if not _is_set(document, key.split("."))]


def _is_set(document: Any, key: Sequence[str]) -> bool:
    for part in key:
        if not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return True


def versioned_files() -> list[Path]:
    """The .dvc files of the tree: data.dvc, and the one of an earlier head to start from."""
    return [path for path in (DATA, *sorted(Path("artifacts").glob("*.dvc"))) if path.exists()]


def stale(
    stage: str | None = None, folder: Path | None = None, seconds: float | None = None
) -> dict[str, Any]:
    """The changes that `dvc status` reports, by stage or .dvc file; empty if everything is up to date.

    Args:
        stage: look at this stage and those before it; at everything by default.
        folder: the root of the project, if it is not the working folder.

    Raises:
        TimeoutError: DVC took longer than `seconds`; None waits for as long as it takes.
    """
    chosen = () if stage is None else ("--with-deps", stage)
    return status(*chosen, folder=folder, seconds=seconds)


def lock_digest() -> str:
    """SHA-256 of the deps, params and outs in dvc.lock: the identity of a result.

    Raises:
        LineageError: the pipeline has never run here.
    """
    with reading(LOCK, RESTORE):
        return digest_of(read_yaml(LOCK))


def digest_of(lock: Mapping[str, Any]) -> str:
    """The `lock_digest` of a dvc.lock that has already been read."""
    kept = {
        name: {part: stage.get(part) for part in ("deps", "params", "outs")}
        for name, stage in lock["stages"].items()
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def data_version() -> str:
    """The digest by which DVC knows the data: the `md5` in data.dvc."""
    with reading(DATA, RESTORE):
        return str(read_yaml(DATA)["outs"][0]["md5"])


def cache_data() -> None:
    """Put the data in the tree into DVC's cache, under the digest that data.dvc names."""
    dvc("commit", "--quiet", str(DATA))


def add(path: Path) -> None:
    """Version a file or folder with DVC: `path.dvc` names it, DVC's cache holds it.

    Raises:
        LineageError: it holds a pipe, socket or device, or DVC refuses it.
    """
    for folder, _, names in os.walk(path):
        for name in names:
            _check_kind(Path(folder, name))
    dvc("add", "--quiet", str(path))


def _check_kind(path: Path) -> None:
    try:
        kind = kind_of(path.stat().st_mode)
    except OSError:  # DVC names the reason
        return
    if kind:
        raise LineageError(f"{path} is {kind}, and DVC would wait for it forever; take it away")


def read_yaml(path: Path, advice: str = RESTORE) -> dict[str, Any]:
    """Read a YAML file that programs write and git keeps, such as DVC's.

    Args:
        advice: how to get the file back.

    Raises:
        LineageError: the file does not exist.
        DamagedFile: it is not a mapping in YAML, or holds the marks of a git conflict.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise LineageError(f"there is no {path}; run `dvc repro` (or `dvc add data`) first") from error
    with reading(path, advice):
        text = content.decode("utf-8")
        if any(line.startswith(CONFLICT) for line in text.splitlines()):
            raise DamagedFile(f"{path} holds the marks of a git conflict; {advice}")
        document = YAML(typ="safe", pure=True).load(text)
        if not isinstance(document, dict):
            raise TypeError(f"expected a mapping, found {shown(document)}")
        return document


def status(
    *arguments: str,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """`dvc status` by stage, .dvc file or path; empty if nothing changed."""
    asks_remote = "--cloud" in arguments
    out = dvc(
        *("status", "--json", *arguments), folder=folder, env=env, asks_remote=asks_remote, seconds=seconds
    ).strip()
    changed: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
    return changed
