"""DVC's view of the tree: what is up to date, what it is known by, and what the remote holds."""

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
    """The stages of dvc.yaml, in the order they are written there, which is the order they run."""
    return list(read_yaml(PIPELINE)["stages"])


def versioned_files() -> list[Path]:
    """The .dvc files of the tree: data.dvc, and that of an earlier head to start from."""
    return [path for path in (DATA, *sorted(Path("artifacts").glob("*.dvc"))) if path.exists()]


def stale() -> dict[str, Any]:
    """What `dvc status` finds changed, by stage or .dvc file; empty where all is up to date."""
    return _status()


def missing_on_remote() -> dict[str, str]:
    """Data and outs that the default DVC remote lacks: path to its digest or what DVC says of it.

    DVC remembers what it once saw on a remote, and takes a folder as complete where its list of files is
    there. Here it is asked without that memory, and every file of a folder is looked for; on a remote that
    keeps versions itself (`version_aware`), where digests are no names, DVC's answer is all there is.

    Raises:
        RemoteUnreachable: it is out of reach.
        LineageError: no remote.
    """
    with TemporaryDirectory() as empty:
        found = _status("--cloud", env={"DVC_SITE_CACHE_DIR": empty})
    gone_here = "deleted"  # from the cache alone
    lacking = {path: state for path, state in found.items() if state != gone_here}
    if lacking or _keeps_versions() or not (wanted := _files_of_folders()):
        return lacking
    listed = dvc("ls-url", "--recursive", _address(), asks_remote=True).splitlines()
    there = {line.replace("/", "") for line in listed}
    return {path: digest for path, digest in wanted.items() if digest not in there}


def push() -> str:
    """Send data, outs and the run-cache to the DVC remote, and check that it has them.

    Returns:
        What DVC says, such as `12 files pushed`.

    Raises:
        RemoteUnreachable: it cannot be written now.
        LineageError: no remote, or something is neither there nor in the cache.
    """
    default_remote()
    said = dvc("push", "--run-cache", *_targets(), asks_remote=True).strip().splitlines()
    if missing_on_remote():
        with TemporaryDirectory() as empty:  # it was there once, and DVC remembers that
            anew = {"DVC_SITE_CACHE_DIR": empty}
            said = dvc("push", "--run-cache", *_targets(), env=anew, asks_remote=True).splitlines()
    if lacking := missing_on_remote():
        raise LineageError(f"after `dvc push`: {describe_missing(lacking)}")
    return said[-1] if said else "Everything is up to date."


def describe_missing(lacking: Mapping[str, str]) -> str:
    """What the remote lacks, and what to do about it."""
    first = ", ".join(f"{path} ({state})" for path, state in list(lacking.items())[:5])
    more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return (
        f"DVC remote {default_remote()!r} lacks {first}{more}. What the cache holds, `dvc push` sends; "
        "what it does not hold, `dvc repro --force` or `dvc add` makes again; a file of a folder is sent "
        "again once the folder's list, the `.dir` file of its digest, is deleted on the remote"
    )


def default_remote() -> str:
    """The name of the DVC remote that is used where none is named.

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
    """DVC's configuration; a later level, such as this clone's own, has precedence."""
    return dict(line.split("=", 1) for line in dvc("config", "--list").splitlines() if "=" in line)


def _address() -> str:
    return f"remote://{default_remote()}/files/md5"


def _files_of_folders() -> dict[str, str]:
    """Path to MD5 of every file in a folder that DVC versions, by the lists in its cache or remote."""
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
    """All that the tree versions; without a name DVC walks the whole folder for it."""
    return [*(str(path) for path in versioned_files()), *stage_names()]


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


def push_data() -> None:
    """Send the data that data.dvc names to the DVC remote.

    Raises:
        RemoteUnreachable: it cannot be written.
    """
    dvc("push", str(DATA), asks_remote=True)


def pull_data() -> None:
    """Fetch the data that data.dvc names from the DVC remote.

    Raises:
        RemoteUnreachable: it does not answer.
        LineageError: no remote, or it does not hold the data.
    """
    dvc("pull", str(DATA), asks_remote=True)


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
    out = dvc("status", "--json", *arguments, env=env, asks_remote="--cloud" in arguments).strip()
    changed: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
    return changed
