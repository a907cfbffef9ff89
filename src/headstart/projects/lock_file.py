"""Write headstart.lock.yaml: what stages run, what versions are packed with, and the files of a project."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart import __version__
from headstart.ground.files import write_text
from headstart.ground.paths import CODE_LOCK
from headstart.repository.code_lock import FILES, MODULES, SERVED, STAGES, VERSION, running
from headstart.versions.serving.packed_files import packed_digest

HEADER = """\
# Written by `headstart init` and `headstart upgrade`, and committed with the project.
# serving: the digest of the code that is packed with each version.
# stages: the digest of the code that each runs, and the versions of the libraries which that imports. They
#   are DVC params: a stage runs again if they change.
# files: what Headstart wrote; `headstart upgrade` writes again those that still have this digest.
"""


def contents(texts: Mapping[str, str]) -> dict[str, Any]:
    """The lock of the package that is installed.

    Args:
        texts: of the files that an upgrade may write again, by their path in the project.
    """
    return {
        VERSION: __version__,
        SERVED: packed_digest(),
        STAGES: {stage: running(stage) for stage in MODULES},
        FILES: {name: digest(text.encode()) for name, text in sorted(texts.items())},
    }


def write(root: Path, lock: Mapping[str, Any]) -> None:
    """Write the lock of a project."""
    yaml = YAML()
    yaml.width = 200
    out = io.StringIO()
    yaml.dump(dict(lock), out)
    write_text(root / CODE_LOCK, HEADER + out.getvalue())


def digest(content: bytes) -> str:
    """SHA-256 of the content of a file."""
    return hashlib.sha256(content).hexdigest()
