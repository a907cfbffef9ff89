"""Checks of the machine: Python, packages, disk, accelerator."""

import json
import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from headstart.cli.doctor.examination import PROGRAM_SECONDS, Check, Finding, error, ok, warning
from headstart.ground import paths
from headstart.ground.paths import cache_folder
from headstart.host.bounded_process import run_bounded
from headstart.host.project import has_code
from headstart.repository.environments import differences, pinned

LITTLE, TOO_LITTLE = 5e9, 0.5e9  # bytes free: a training of full size writes a few GB
NAMED = 3
PROBE = """
import json, torch
from headstart.errors import ParamsError
from headstart.ground import runtime
try:
    bf16 = runtime.dtype_of("bf16") is torch.bfloat16
except ParamsError:
    bf16 = False
cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
print(json.dumps({
    "torch": torch.__version__, "device": runtime.device_name(), "bf16": bf16,
    "cards": [[card.name, card.total_memory] for card in cards], "threads": torch.get_num_threads(),
}))
"""


def python() -> Finding:
    """The running version against the one that the package asks for."""
    wanted, here = SpecifierSet(metadata("headstart")["Requires-Python"]), platform.python_version()
    if wanted.contains(here):
        return ok(f"{here}, {wanted} is needed")
    mend = "make clean install PYTHON=python3.12" if has_code(Path()) else "make install PYTHON=python3.12"
    return error(f"{here}, but {wanted} is needed", mend)


def packages() -> Finding:
    """The installed packages against requirements.lock."""
    if not paths.LOCK.exists():
        return warning(f"there is no {paths.LOCK} here to compare with")
    wrong = differences(paths.LOCK, platform.python_version())
    count = len(pinned(paths.LOCK))
    if not wrong:
        return ok(f"all {count} as locked")
    shown = [f"{name} {here}, locked {locked}" for name, (locked, here) in wrong.items()]
    more = f"; and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return warning(
        f"{len(wrong)} of {count} are not as locked: {'; '.join(shown[:NAMED])}{more}",
        "rm .venv/installed && make install" if has_code(Path()) else "make install, or headstart upgrade",
    )


def disk() -> Finding:
    """Free space of the project, HEADSTART_CACHE and temporary files."""
    places = {"project": Path(), "HEADSTART_CACHE": cache_folder(), "temporary files": _temporary()}
    free = {name: free_bytes(path) for name, path in places.items()}
    found = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in free.items()) + " free"
    if min(free.values()) >= LITTLE:
        return ok(found)
    mend = "headstart gc --delete, or delete HEADSTART_CACHE, which is only a cache"
    return (error if min(free.values()) < TOO_LITTLE else warning)(found, mend)


def accelerator() -> Finding:
    """The accelerators that torch sees, in a process of its own: a broken driver may end it."""
    done = run_bounded([sys.executable, "-c", PROBE], PROGRAM_SECONDS, env=_own_code())
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return error(f"torch cannot be used: {last[0]}", "make install")
    found = json.loads(done.stdout.splitlines()[-1])
    bf16 = "with bf16" if found["bf16"] else "without bf16: params.yaml needs precision: fp32"
    if found["cards"]:
        cards = ", ".join(f"{name} ({memory / 1e9:.0f} GB)" for name, memory in found["cards"])
        return ok(f"{cards}, {bf16}; torch {found['torch']}")
    said = f"none, CPU: {found['device']}, {found['threads']} threads, {bf16}; torch {found['torch']}"
    if shutil.which("nvidia-smi"):
        return warning(f"{said}; there is an NVIDIA driver, but torch sees no card", "nvidia-smi")
    return ok(said)


def _own_code() -> dict[str, str]:
    source = str(paths.PACKAGE.parent)
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (source, inherited)))}


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def free_bytes(path: Path) -> int:
    """Free space where a folder is, or would be made: that of the nearest one above it that exists."""
    absolute = path.absolute()
    return shutil.disk_usage(next(each for each in (absolute, *absolute.parents) if each.exists())).free


CHECKS: dict[str, Check] = {
    "Python": python,
    "packages": packages,
    "disk": disk,
    "accelerator": accelerator,
}
