"""Checks of the project: git, DVC and its remote, parameters, stages, weights."""

import hashlib
import json
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

from headstart import __version__, repository
from headstart.cli.doctor.examination import PROGRAM_SECONDS, Check, Finding, error, ok, warning
from headstart.cli.doctor.machine import free_bytes
from headstart.errors import BackboneError, LineageError, ParamsError
from headstart.ground import paths
from headstart.ground.wording import named
from headstart.host.project import has_code
from headstart.params import load_params
from headstart.repository import code_lock, setup

REMOTE_SECONDS = 5.0
SETTLED = 300.0  # seconds that the clock of another machine may be ahead
BUSY = ("is busy, it is being blocked by", "Unable to acquire lock")  # DVC, while another process works
UPGRADE = "headstart upgrade"
METADATA = "headstart"  # key of the metadata of our safetensors files


def git() -> Finding:
    """Git, the repository and its last commit."""
    if shutil.which("git") is None:
        return error("git is not installed", "apt install git")
    try:
        commit, _ = setup.last_commit()
    except LineageError as wrong:
        return error(str(wrong), "git init && git add -A && git commit, in the project")
    return ok(f"commit {commit[:12]}")


def identity() -> Finding:
    """The name and address on commits."""
    try:
        return ok(setup.identity())
    except LineageError:
        return warning(
            "git has neither a name nor an address for your commits",
            'git config --global user.name "NAME" && git config --global user.email ADDRESS',
        )


def clock() -> Finding:
    """The system's clock against the last commit."""
    here = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    try:
        _, seconds = setup.last_commit()
    except LineageError:
        return ok(f"{here}; there is no commit to compare it with")
    behind = seconds - time.time()
    if behind <= SETTLED:
        return ok(here)
    late = timedelta(seconds=round(behind))
    return warning(f"it is {late} behind the time of the last commit", "timedatectl set-ntp true")


def cache() -> Finding:
    """DVC's cache: free space, and how its files get into the project."""
    from headstart.repository import stores

    found = stores.settings_of(Path())
    free = f"{found.cache}, {free_bytes(found.cache) / 1e9:.1f} GB free"
    if found.working is None:
        return ok(f"{free}; empty")
    used = next((link for link in found.link_types if link in found.working), None)
    if used is None:
        return error(
            f"{free}; none of {named(found.link_types)} works from it to the project",
            "dvc config --local cache.type copy",
        )
    if used == "symlink":
        return warning(f"{free}; symbolic links, which MLflow refuses", "dvc config cache.type hardlink")
    if used == "copy" and "hardlink" in found.working:
        return ok(f"{free}; files are copied, hard links would save space", "dvc config cache.type hardlink")
    return ok(f"{free}; files by {used}")


def remote() -> Finding:
    """The default DVC remote: named, and answering."""
    from headstart.repository import stores

    found = stores.settings_of(Path())
    if not found.remote:
        return error("there is no default DVC remote", "dvc remote add --default NAME URL")
    said = f"{found.remote}, {found.url}"
    try:
        holds = setup.ask_remote(found.remote, found.url, REMOTE_SECONDS)
    except TimeoutError as late:
        return warning(f"unknown: {said}: {late}", "run it again; if it stays so, check the network")
    except (LineageError, OSError) as wrong:
        return error(f"{said}: {wrong}", "check the network, and the address in `dvc remote list`")
    return ok(said) if holds else warning(f"{said}: nothing was pushed to it yet", "dvc push")


def params() -> Finding:
    """Whether params.yaml can be read and describes a network that can be built."""
    from headstart.cli.entering import buildable_params

    params = buildable_params()
    if needed := repository.unset_params():
        return error(f"{paths.PARAMS} lacks {named(needed)}: DVC stops without what dvc.yaml lists", UPGRADE)
    if lacking := params.lacking():
        return warning(f"{paths.PARAMS} lacks {named(lacking)}: their defaults are used", UPGRADE)
    return ok(f"{paths.PARAMS} is complete")


def code() -> Finding:
    """Whether stages run what headstart.lock.yaml names; a clone of Headstart runs its own code."""
    if has_code(Path()):
        return ok("that of this clone")
    try:
        code_lock.check()
    except LineageError as wrong:
        return error(str(wrong), "headstart upgrade, or make install")
    return ok(f"headstart {__version__}, as {paths.CODE_LOCK} names it")


def stages() -> Finding:
    """Whether dvc.lock belongs to the code, data and parameters of the project."""
    try:
        changed = repository.stale(seconds=PROGRAM_SECONDS)
    except LineageError as wrong:
        if not any(text in str(wrong) for text in BUSY):
            raise
        return warning("unknown: another process of DVC is at work here", "wait for it to end")
    if not repository.LOCK.exists():
        return warning("there are no results yet", "dvc repro")
    if not changed:
        return ok("all up to date")
    return warning(f"changed since they ran: {named(changed)}", "dvc repro")


def weights() -> Finding:
    """The file of the backbone's weights: there, and with the digest that params.yaml names."""
    try:
        source = load_params(paths.PARAMS).backbone
    except ParamsError:
        return warning(f"unknown: {paths.PARAMS} cannot be read")
    if source.weights == "random":
        return ok(f"random, seed {source.seed}: to try the pipeline, never trained")
    if source.weights.startswith("IMAGENET"):
        return _downloaded(source.arch, source.weights)
    path = Path(source.weights)
    if not path.is_file():
        raise BackboneError(f"backbone.weights: there is no file {path}; put it there, or correct the path")
    if source.sha256 is None:
        return error("backbone.sha256 is not set", f"sha256sum {path}, if you trust the file")
    wanted = source.sha256.lower()
    if _was_checked(path, wanted):
        return ok(f"{path}, digest {wanted[:12]} as checked by the stage backbone")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        return error(f"{path} has digest {found[:12]}, params.yaml names {wanted[:12]}", "fetch it again")
    return ok(f"{path}, digest {wanted[:12]}")


def _was_checked(path: Path, digest: str) -> bool:
    """Whether the stage has read this very file: hashing half a gigabyte again would show nothing new."""
    made = paths.BACKBONE
    if not made.is_file() or path.stat().st_mtime >= made.stat().st_mtime:
        return False
    return str(_metadata(made).get("source", "")) == f"{path.name} (sha256 {digest[:12]})"


def _metadata(path: Path) -> dict[str, object]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        found: dict[str, object] = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    return found


def _downloaded(arch: str, name: str) -> Finding:
    """Weights that torchvision downloads when the stage first runs."""
    if paths.BACKBONE.is_file() and str(_metadata(paths.BACKBONE).get("source", "")).startswith(name):
        return ok(f"{name} of {arch}, in {paths.BACKBONE}")
    home = os.environ.get("TORCH_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "torch"
    )
    kind = f"{arch}_features-*" if name.endswith("FEATURES") else f"{arch}-*"
    folder = Path(home) / "hub" / "checkpoints"
    if found := sorted(folder.glob(kind)):
        return ok(f"{name} of {arch}, {found[0]}")
    return warning(f"{name} of {arch} is not in {folder}: the next run downloads it", "dvc repro backbone")


CHECKS: dict[str, Check] = {
    "git": git,
    "git identity": identity,
    "clock": clock,
    "DVC cache": cache,
    "DVC remote": remote,
    "params": params,
    "code": code,
    "stages": stages,
    "weights": weights,
}
