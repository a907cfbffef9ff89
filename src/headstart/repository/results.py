"""DVC's view of the project: its stages, whether they are up to date, and digests of results and data."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headstart.errors import LineageError
from headstart.repository.programs import dvc

PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
DATA = Path("data.dvc")


def stage_names() -> list[str]:
    """The stages in the order of dvc.yaml, which is the order they run in."""
    return list(read_yaml(PIPELINE)["stages"])


def versioned_files() -> list[Path]:
    """The .dvc files of the tree: data.dvc, and the one of an earlier head to start from."""
    return [path for path in (DATA, *sorted(Path("artifacts").glob("*.dvc"))) if path.exists()]


def stale() -> dict[str, Any]:
    """The changes that `dvc status` reports, by stage or .dvc file; empty if everything is up to date."""
    return status()


def lock_digest() -> str:
    """SHA-256 of the deps, params and outs in dvc.lock: the identity of a result.

    Raises:
        LineageError: the pipeline has never run here.
    """
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
    return str(read_yaml(DATA)["outs"][0]["md5"])


def cache_data() -> None:
    """Put the data in the tree into DVC's cache, under the digest that data.dvc names."""
    dvc("commit", "--quiet", str(DATA))


def add(path: Path) -> None:
    """Version a file with DVC: `path.dvc` names it, DVC's cache holds it."""
    dvc("add", "--quiet", str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one of DVC's YAML files.

    Raises:
        LineageError: the file does not exist, or is damaged.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        raise LineageError(f"there is no {path}; run `dvc repro` (or `dvc add data`) first") from error
    except (YAMLError, UnicodeDecodeError) as error:
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(r"^(<<<<<<<|>>>>>>>) ", text, flags=re.MULTILINE):
            raise LineageError(
                f"{path} has conflict markers of a merge: keep one side (`git checkout --ours {path}` or "
                "`--theirs`), then run `dvc repro`"
            ) from error
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise LineageError(
            f"{path} is not valid YAML{where}: correct it, or take it from git (`git checkout {path}`)"
        ) from error
    if not isinstance(document, dict):
        raise LineageError(f"{path} is empty or damaged: take it from git (`git checkout {path}`)")
    return document


def status(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`dvc status` by stage, .dvc file or path; empty if nothing changed."""
    out = dvc("status", "--json", *arguments, env=env, asks_remote="--cloud" in arguments).strip()
    changed: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
    return changed
