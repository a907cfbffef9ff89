"""Files that git does not know yet: which of them are recorded with a result, and which never are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headstart.errors import LineageError
from headstart.ground.import_closure import import_closure
from headstart.ground.paths import CODE_LOCK, PACKAGE
from headstart.ground.wording import named
from headstart.repository.programs import git
from headstart.repository.results import PIPELINE, read_yaml

FOLDERS = ("src", "flows")
KINDS = frozenset(
    {".py", ".pyi", ".yaml", ".yml", ".toml", ".json", ".j2", ".html", ".css", ".js", ".sql", ".md", ".txt"}
)
RUN_BY = (CODE_LOCK.name, "bin/headstart")  # what a stage is run by
SECRET = re.compile(
    r"^\.env|\.env$|secret|credential|passw(?:or)?d|netrc|pgpass|htpasswd|\.(?:pem|key|p12|pfx|jks|kdbx)$"
    r"|^id_(?:rsa|dsa|ecdsa|ed25519)|(?<![a-z])tokens?(?![a-z])|api[_-]?key|private[_-]?key|service[_-]?account"
    r"|^config\.local$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NewFiles:
    """Untracked files of the folders of code, as paths from the root.

    Attributes:
        recorded: of a kind of source file, without a secret's name.
        left_out: all others that git does not ignore.
    """

    recorded: tuple[str, ...]
    left_out: tuple[str, ...]


def new_files() -> NewFiles:
    """The untracked files under `src/` and `flows/`."""
    found = _untracked("--exclude-standard")
    recorded = tuple(path for path in found if is_recorded(path))
    return NewFiles(recorded, tuple(path for path in found if path not in recorded))


def is_recorded(path: str) -> bool:
    """Whether an untracked file would be recorded: refs and records are pushed, and stay."""
    parts = PurePosixPath(path).parts
    return PurePosixPath(path).suffix in KINDS and not any(SECRET.search(part) for part in parts)


def check_stages_are_recorded(new: NewFiles) -> None:
    """Check that a record would hold every file that a stage reads or imports.

    Raises:
        LineageError: a file that git does not know, and that is not recorded, is one of them.
    """
    needed = {path for path in new.left_out if _is_dependency(path)}
    needed |= {path for path in RUN_BY if Path(path).exists() and not git("ls-files", "--", path).strip()}
    unknown = {path for path in _untracked() if path.endswith(".py")} - set(new.recorded)
    if unknown:
        needed |= unknown & _imported_by_stages()
    if needed:
        raise LineageError(
            f"stages use {named(sorted(needed), most=5)}, which git does not have and which is not recorded "
            "(ignored by git, named like a secret, or no source file), so that the results could not be made "
            "again: commit it, or move it out of what stages use; passwords belong in the environment"
        )


def _untracked(*options: str) -> list[str]:
    folders = [folder for folder in FOLDERS if Path(folder).is_dir()]
    if not folders:
        return []
    listed = git("ls-files", "--others", "-z", *options, "--", *folders)
    return [name.decode(errors="surrogateescape") for name in listed.split(b"\0") if name]


def _is_dependency(path: str) -> bool:
    """Whether `dvc.yaml` names the file, or a folder that holds it, as a dependency."""
    stages = read_yaml(PIPELINE)["stages"].values() if PIPELINE.exists() else ()
    deps: Iterable[str] = (dep for stage in stages for dep in stage.get("deps", []))
    return any(PurePosixPath(path).is_relative_to(dep) for dep in deps)


def _imported_by_stages() -> set[str]:
    source = Path("src")
    stages = sorted((source / PACKAGE.name / "pipeline").glob("*/stage.py"))
    modules = [".".join(path.relative_to(source).with_suffix("").parts) for path in stages]
    entry = f"{PACKAGE.name}.__main__"
    return {path for module in (entry, *modules) for path in import_closure(source, module)}
