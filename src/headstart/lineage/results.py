"""DVC's view of the tree: what is up to date, what it is known by, and what the remote holds."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from headstart.errors import LineageError
from headstart.lineage.programs import dvc

PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
DATA = Path("data.dvc")


def stage_names() -> list[str]:
    """The stages of dvc.yaml, in the order they are written there, which is the order they run."""
    return list(read_yaml(PIPELINE)["stages"])


def versioned_files() -> list[Path]:
    """The .dvc files of the tree: data.dvc, and that of an earlier head to start from."""
    return [path for path in (DATA, *sorted(Path("artifacts").glob("*.dvc"))) if path.exists()]


def stale() -> dict[str, Any]:
    """What `dvc status` finds changed, by stage or .dvc file; empty where all is up to date."""
    return _status()


def missing_on_remote() -> dict[str, str]:
    """Data and outs that the default DVC remote lacks: path to what DVC says of it.

    DVC remembers what it once saw on a remote; here it is asked without that memory, so that a file which
    was deleted there is found.

    Raises:
        LineageError: no remote, or it is out of reach.
    """
    with TemporaryDirectory() as empty:
        found = _status("--cloud", env={"DVC_SITE_CACHE_DIR": empty})
    return {path: state for path, state in found.items() if state != "deleted"}  # in no cache, on the remote


def push() -> str:
    """Send data, outs and the run-cache to the DVC remote, and check that it has them.

    Returns:
        What DVC says, such as `12 files pushed`.

    Raises:
        LineageError: no remote, out of reach, or something is neither there nor in the cache.
    """
    said = dvc("push", "--run-cache", *_targets()).strip().splitlines()
    if missing_on_remote():
        with TemporaryDirectory() as empty:  # it was there once, and DVC remembers that
            said = dvc("push", "--run-cache", *_targets(), env={"DVC_SITE_CACHE_DIR": empty}).splitlines()
    if lacking := missing_on_remote():
        raise LineageError(
            f"the DVC remote lacks {_named(lacking)}, and the cache does not hold it; make it again by "
            "`dvc repro --force`, or for data by `dvc add`"
        )
    return said[-1] if said else "Everything is up to date."


def _targets() -> list[str]:
    """All that the tree versions; without a name DVC walks the whole folder for it."""
    return [*(str(path) for path in versioned_files()), *stage_names()]


def _named(paths: Mapping[str, str]) -> str:
    first = ", ".join(list(paths)[:5])
    return f"{first} and {len(paths) - 5} more" if len(paths) > 5 else first


def lock_digest() -> str:
    """SHA-256 of the deps, params and outs in dvc.lock: the identity of a result.

    Raises:
        LineageError: the pipeline has never run here.
    """
    return digest_of(read_yaml(LOCK))


def digest_of(lock: Mapping[str, Any]) -> str:
    """The digest of what a dvc.lock holds: `lock_digest` of a file that was read."""
    kept = {
        name: {part: stage.get(part) for part in ("deps", "params", "outs")}
        for name, stage in lock["stages"].items()
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def data_version() -> str:
    """The digest that DVC knows the data by: the `md5` in data.dvc."""
    return str(read_yaml(DATA)["outs"][0]["md5"])


def cache_data() -> None:
    """Put the data that stands in the tree into DVC's cache, under the digest that data.dvc names."""
    dvc("commit", "--quiet", str(DATA))


def add(path: Path) -> None:
    """Version a file with DVC: `path.dvc` names it, DVC's cache holds it."""
    dvc("add", "--quiet", str(path))


def pull_data() -> None:
    """Fetch the data that data.dvc names from the DVC remote.

    Raises:
        LineageError: no remote, or it does not hold the data.
    """
    dvc("pull", str(DATA))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of DVC.

    Raises:
        LineageError: it is not there.
    """
    try:
        document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        raise LineageError(f"there is no {path}; run `dvc repro` (or `dvc add data`) first") from error
    return document


def _status(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    out = dvc("status", "--json", *arguments, env=env).strip()
    changed: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
    return changed
