"""Find the project that a command is run in, and run the code that it holds, not a copy installed elsewhere.

A clone of Headstart holds the code, in `src/headstart`. A project that `headstart init` made runs the
installed package, and has headstart.lock.yaml in its place.
"""

import os
import sys
from pathlib import Path

from headstart.errors import StageError
from headstart.ground.paths import CODE_LOCK, PACKAGE

SOURCE = Path("src", "headstart")
QUIET = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


def enter_tree() -> Path:
    """Change to the root of the enclosing project, and run its code, if it holds any.

    If the running code is not the project's, this process restarts with the project's.

    Raises:
        StageError: the working folder is not inside a Headstart project.
    """
    start = Path.cwd()
    root = find_root(start)
    if root is None:
        raise StageError(f"{not_a_project(start)}; change to one, or begin one: `headstart init DIR`")
    be_quiet()
    if has_code(root) and (root / SOURCE).resolve() != PACKAGE:
        _start_again(root)
    os.chdir(root)
    return root


def find_root(start: Path) -> Path | None:
    """The root of the project that encloses an absolute folder; None if there is none."""
    return next((folder for folder in (start, *start.parents) if _is_root(folder)), None)


def not_a_project(folder: Path) -> str:
    """The beginning of an error about a folder that no project encloses."""
    return (
        f"{folder} is not in a Headstart project (a folder with dvc.yaml, params.yaml and {CODE_LOCK}, or a "
        "clone of Headstart)"
    )


def has_code(root: Path) -> bool:
    """Whether a project holds the code that it runs, as a clone of Headstart does."""
    return (root / SOURCE).exists()


def be_quiet() -> None:
    """Set the variables that keep dependencies from reporting usage, unless the user has set them."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _is_root(folder: Path) -> bool:
    both = all((folder / name).exists() for name in ("dvc.yaml", "params.yaml"))
    return both and (has_code(folder) or (folder / CODE_LOCK).exists())


def _start_again(root: Path) -> None:
    if os.environ.get("HEADSTART_STARTED_AGAIN"):
        raise StageError(f"the code of {root} cannot be run: Python imports {PACKAGE} instead")
    source = str(root / "src")
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (source, inherited)))
    os.environ["HEADSTART_STARTED_AGAIN"] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "headstart", *sys.argv[1:]])
