"""The Python environment in which a version was made: the current one, or one built from its lock."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker

from headstart.errors import LineageError
from headstart.ground.paths import cache_folder

PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)


def differences(lock: Path, python: str) -> dict[str, tuple[str, str]]:
    """Differences between a recorded environment and the current one: name to (recorded, current).

    Args:
        lock: the recorded requirements.lock.
        python: the recorded version of Python, of which only the first two numbers are compared.
    """
    found = {}
    here = platform.python_version()
    if _minor(python) != _minor(here):
        found["python"] = (python, here)
    for name, version in pinned(lock).items():
        there = installed(name)
        if version not in (there, public(there)):
            found[name] = (version, there)
    return found


def public(version: str) -> str:
    """A version without its build, such as +cpu or +cu130."""
    return version.partition("+")[0]


def installed(name: str) -> str:
    """The version of a package that is installed here; `none` if none is."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def pinned(lock: Path) -> dict[str, str]:
    """The packages that a lock file pins for this platform, with their versions."""
    text = lock.read_text(encoding="utf-8")
    return {
        name: version
        for name, version, marker in PINNED.findall(text)
        if not marker or Marker(marker).evaluate()
    }


def python_of(lock: Path, python: str) -> str:
    """The interpreter of an environment with the packages that `lock` pins; it is cached for reuse.

    Raises:
        LineageError: this Python version is not available, or a package cannot be installed.
    """
    digest = hashlib.sha256(lock.read_bytes() + _minor(python).encode()).hexdigest()
    folder: Path = cache_folder() / "environments" / digest[:16]
    made = folder / "bin" / "python"
    if (folder / "complete").exists():
        return str(made)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _uv("venv", "--quiet", "--python", _minor(python), str(folder))
    # a project pins what its owner had installed: without digests, if that was no version of the release
    hashed = ["--require-hashes"] if _is_hashed(lock) else ["--verify-hashes"]
    _uv("pip", "install", "--quiet", "--python", str(made), *hashed, "-r", str(lock))
    (folder / "complete").touch()
    return str(made)


def _is_hashed(lock: Path) -> bool:
    """Whether a lock file has digests for every package."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"))[1:]
    return all("--hash=" in entry for entry in entries)


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", *arguments]
    settings = {"UV_PYTHON_DOWNLOADS": "never", **os.environ}
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    if done.returncode:
        raise LineageError(
            f"the recorded environment cannot be built: {' '.join(arguments[:2])}: {done.stderr.strip()}; "
            "`--environment current` uses the one that runs this command, and notes it"
        )
