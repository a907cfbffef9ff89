"""The running package as one file: the code of versions from a project that does not hold it."""

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

from headstart.ground.paths import PACKAGE

NAME = "package.zip"
LEFT_OUT = frozenset({".pyc", ".pyo"})
BEGINNING = (1980, 1, 1, 0, 0, 0)  # the same files make the same bytes


def digest() -> str:
    """SHA-256 of the archive of the running package."""
    return hashlib.sha256(_archive()).hexdigest()


def write(path: Path) -> None:
    """Write the archive of the running package."""
    path.write_bytes(_archive())


def unpack(path: Path, source: Path) -> None:
    """Unpack an archive into a folder of sources, as `source/headstart`."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(source)


@cache
def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(PACKAGE.rglob("*")):
            if path.is_file() and path.suffix not in LEFT_OUT:
                name = f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}"
                archive.writestr(zipfile.ZipInfo(name, BEGINNING), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()
