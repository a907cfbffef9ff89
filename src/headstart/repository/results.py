"""DVC's view of the tree: its state, the digests it goes by, and the contents of the remote."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

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
    return _status()


def missing_on_remote() -> dict[str, str]:
    """Data and outs that the default DVC remote lacks, by path, with their digest or DVC's status.

    DVC remembers what it once saw on a remote, and considers a folder complete if the list of its files
    is there. This asks DVC without that memory, and checks every file of a folder. A remote that keeps
    versions itself (`version_aware`) does not name files by digest; there, DVC's answer has to do.

    Raises:
        RemoteUnreachable: the remote cannot be reached.
        LineageError: there is no default remote.
    """
    with TemporaryDirectory() as empty:
        found = _status("--cloud", env={"DVC_SITE_CACHE_DIR": empty})
    gone_here = "deleted"  # from the cache only
    lacking = {path: state for path, state in found.items() if state != gone_here}
    if lacking or _keeps_versions() or not (wanted := _files_of_folders()):
        return lacking
    listed = dvc("ls-url", "--recursive", _address(), asks_remote=True).splitlines()
    there = {line.replace("/", "") for line in listed}
    return {path: digest for path, digest in wanted.items() if digest not in there}


def push() -> str:
    """Push data, outs and the run-cache to the DVC remote, and check that it has them.

    Returns:
        DVC's summary, such as `12 files pushed`.

    Raises:
        RemoteUnreachable: the remote cannot be written to now.
        LineageError: there is no default remote, or something is neither there nor in the cache.
    """
    default_remote()
    said = dvc("push", "--run-cache", *_targets(), asks_remote=True).strip().splitlines()
    if missing_on_remote():
        with TemporaryDirectory() as empty:  # the remote had it once, and DVC remembers that
            anew = {"DVC_SITE_CACHE_DIR": empty}
            said = dvc("push", "--run-cache", *_targets(), env=anew, asks_remote=True).splitlines()
    if lacking := missing_on_remote():
        raise LineageError(f"after `dvc push`: {describe_missing(lacking)}")
    return said[-1] if said else "Everything is up to date."


def describe_missing(lacking: Mapping[str, str]) -> str:
    """Describe what the remote lacks and what to do about it."""
    first = ", ".join(f"{path} ({state})" for path, state in list(lacking.items())[:5])
    more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return (
        f"DVC remote {default_remote()!r} lacks {first}{more}. `dvc push` sends what the cache holds; "
        "`dvc repro --force` or `dvc add` recreates the rest; a file of a folder is sent again once "
        "the folder's list, the `.dir` file of its digest, is deleted on the remote"
    )


def default_remote() -> str:
    """The name of the default DVC remote.

    Raises:
        LineageError: there is none.
    """
    if name := _settings().get("core.remote"):
        return name
    raise LineageError("there is no default DVC remote; name one: `dvc remote add --default NAME URL`")


def _keeps_versions() -> bool:
    name = default_remote()
    values = _settings()
    return any(
        values.get(f"remote.{name}.{key}", "").lower() == "true" for key in ("version_aware", "worktree")
    )


def _settings() -> dict[str, str]:
    """DVC's configuration; later levels, such as this clone's own, take precedence."""
    return dict(line.split("=", 1) for line in dvc("config", "--list").splitlines() if "=" in line)


def _address() -> str:
    return f"remote://{default_remote()}/files/md5"


def _files_of_folders() -> dict[str, str]:
    """MD5 by path of every file in a folder that DVC versions, from the lists in its cache or remote."""
    folders = {
        out["path"]: out["md5"]
        for path in versioned_files()
        for out in read_yaml(path)["outs"]
        if out["md5"].endswith(".dir")
    }
    cache = Path(dvc("cache", "dir").strip())
    files: dict[str, str] = {}
    for folder, digest in folders.items():
        with TemporaryDirectory() as temporary:
            listed = cache / "files" / "md5" / digest[:2] / digest[2:]
            if not listed.exists():
                listed = Path(temporary) / "list"
                address = f"{_address()}/{digest[:2]}/{digest[2:]}"
                dvc("get-url", address, str(listed), asks_remote=True)
            files |= {f"{folder}/{file['relpath']}": file["md5"] for file in json.loads(listed.read_text())}
    return files


def _targets() -> list[str]:
    """Everything that the tree versions; without names, DVC would walk the whole folder to find it."""
    return [*(str(path) for path in versioned_files()), *stage_names()]


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


def push_data() -> None:
    """Push the data that data.dvc names to the DVC remote.

    Raises:
        RemoteUnreachable: the remote cannot be written to.
    """
    dvc("push", str(DATA), asks_remote=True)


def pull_data() -> None:
    """Fetch the data that data.dvc names from the DVC remote.

    Raises:
        RemoteUnreachable: the remote does not answer.
        LineageError: there is no remote, or it does not hold the data.
    """
    dvc("pull", str(DATA), asks_remote=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one of DVC's YAML files.

    Raises:
        LineageError: the file does not exist.
    """
    try:
        document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        raise LineageError(f"there is no {path}; run `dvc repro` (or `dvc add data`) first") from error
    return document


def _status(*arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    out = dvc("status", "--json", *arguments, env=env, asks_remote="--cloud" in arguments).strip()
    changed: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
    return changed
