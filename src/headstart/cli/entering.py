"""Entering the project: its root, its parameters, and paths typed in another folder."""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.host.project import be_quiet, enter_tree, find_root

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


def params_of(root: Path | None, file: str, changes: Mapping[str, Mapping[str, object]]) -> "Params":
    """Parameters for a command that may be run without a project, checked like `checked_params`.

    Args:
        root: the project whose params.yaml is read; None for the defaults of all keys.
        file: read instead of that; "" for none.
        changes: other values for some keys, by section.

    Raises:
        HeadstartError: a file is missing or wrong, or the network cannot be built.
    """
    from headstart.cli.network_params import check_network
    from headstart.params import Params, load_params, note_on_defaults, overridden

    if file and not Path(file).is_file():
        raise HeadstartError(f"--params: there is no file {file}; correct the path")
    read = Path(file) if file else paths.PARAMS
    given = load_params(read) if file or root is not None else None
    if given is not None and (note := note_on_defaults(read, given)):
        report(note)
    params = overridden(given or Params(), changes)
    check_network(params, None if root is None else paths.DATA)
    return params


def enter_with(*given: str) -> list[str]:
    """Enter the project, and return paths typed in another folder as seen from its root; "" stays ""."""
    here = Path.cwd()
    root = enter_tree()
    return [_seen_from(root, here, path) for path in given]


def enter_any(*given: str) -> tuple[Path | None, list[str]]:
    """Enter the project around the working folder, or stay in the working folder if there is none.

    Returns:
        The project's root, None without a project; and the paths as seen from the folder that is now the
        working folder.
    """
    if find_root(Path.cwd()) is None:
        be_quiet()
        return None, list(given)
    seen = enter_with(*given)
    return Path.cwd(), seen


def _seen_from(root: Path, here: Path, path: str) -> str:
    is_uri = (":/" in path or "@" in path) and not (here / path).exists()
    return path if not path or is_uri or Path(path).is_absolute() else os.path.relpath(here / path, root)


@contextmanager
def naming_options(options: Mapping[str, str]) -> Iterator[None]:
    """Let errors about a key of params.yaml name the option that was typed for it.

    Args:
        options: by key, such as `--arch` by `backbone.arch`.
    """
    try:
        yield
    except HeadstartError as error:
        text = str(error)
        for key, option in options.items():
            text = text.replace(key, option)
        raise type(error)(text) from error


def import_path(root: Path) -> str:
    """PYTHONPATH for a process that runs `flows/`."""
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join(filter(None, (str(root / "src"), str(root), inherited)))


def report(text: str) -> None:
    """Print a line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)
