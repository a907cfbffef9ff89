"""Entering the project: its root, its parameters, and paths typed in another folder."""

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.ground import paths
from headstart.host.project import enter_tree

if TYPE_CHECKING:
    from headstart.params import Params


def checked_params() -> "Params":
    """The `buildable_params`; standard error names the keys whose defaults are used."""
    params = buildable_params()
    report_defaults(params)
    return params


def report_defaults(params: "Params", sections: Collection[str] | None = None) -> None:
    """Name on standard error the keys that params.yaml lacks, in all or in some of its sections."""
    from headstart.params import note_on_defaults

    if note := note_on_defaults(paths.PARAMS, params, sections):
        report(note)


def buildable_params() -> "Params":
    """params.yaml, checked to describe a network that can be built; errors come before any work."""
    from headstart.cli.network_params import check_network
    from headstart.params import load_params

    params = load_params(paths.PARAMS)
    check_network(params, paths.DATA)
    return params


def enter_with(*given: str) -> list[str]:
    """Enter the project, and return paths typed in another folder as seen from its root."""
    here = Path.cwd()
    root = enter_tree()
    return [_seen_from(root, here, path) for path in given]


def _seen_from(root: Path, here: Path, path: str) -> str:
    is_uri = (":/" in path or "@" in path) and not (here / path).exists()
    return path if is_uri or Path(path).is_absolute() else os.path.relpath(here / path, root)


def import_path(root: Path) -> str:
    """PYTHONPATH for a process that runs `flows/`."""
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join(filter(None, (str(root / "src"), str(root), inherited)))


def report(text: str) -> None:
    """Print a line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)
