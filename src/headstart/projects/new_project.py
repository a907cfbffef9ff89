"""`headstart init`: a small project that runs the installed package, under git and DVC."""

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headstart import __version__, repository
from headstart.errors import HeadstartError
from headstart.ground.files import write_text
from headstart.host.project import find_root
from headstart.projects import lock_file, template
from headstart.repository import setup
from headstart.repository.programs import dvc, git, git_line

PRETRAINED = ("  weights: random ", "  weights: IMAGENET1K_V1 ")


@dataclass(frozen=True)
class Made:
    """A new project.

    Attributes:
        root: its folder.
        files: the paths of what was written in it.
        commit: its first commit; None in a repository that was there before: nothing was committed to it.
    """

    root: Path
    files: tuple[str, ...]
    commit: str | None


def begin(folder: Path, demo: bool, ci: str | None, draw: Callable[[Path], object]) -> Made:
    """Make a project in a folder that is new or empty; it appears there whole or not at all.

    Args:
        demo: with the sample data, and the random backbone that suffices for it.
        ci: `github` or `gitlab` adds a workflow.
        draw: draws the sample into a folder.

    Raises:
        HeadstartError: the folder holds something, or lies in a project already.
        LineageError: git or DVC fails.
    """
    root = folder.absolute()
    _check_place(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    outer = _repository_around(root.parent)
    if ci and outer is not None:
        raise HeadstartError(
            f"--ci: {root} would lie in the repository {outer}, and only its root is searched for workflows; "
            "choose a folder outside it, or leave --ci out"
        )
    texts = template.files(_name(root), [ci] if ci else [])
    if not demo:
        texts["params.yaml"] = _pretrained(texts["params.yaml"])
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as temporary:
        made = Path(temporary) / root.name
        made.mkdir()
        _write(made, texts)
        lock_file.write(made, lock_file.contents(template.rewritten(texts)))
        _start_git_and_dvc(made, texts, is_inner=outer is not None)
        if demo:
            _add_sample(made, draw)
        commit = None if outer is not None else _commit(made)
        _place(made, root)
    return Made(root, tuple(sorted([*texts, "headstart.lock.yaml", *(["data.dvc"] if demo else [])])), commit)


def _place(made: Path, root: Path) -> None:
    """Move a finished project to its folder; one that exists stays, since a shell may stand in it."""
    if root.exists():
        for path in made.iterdir():
            path.rename(root / path.name)
    else:
        made.rename(root)


def _check_place(root: Path) -> None:
    if shutil.which("git") is None:
        raise HeadstartError("git is not installed, and a project is a git repository: install git")
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise HeadstartError(f"{root} is no folder; name one that is new or empty")
    if root.exists() and any(root.iterdir()):
        advice = "`headstart upgrade` brings a project to this version" if find_root(root) else ""
        raise HeadstartError(
            f"{root} is not empty, so no project was made there; " + (advice or "name a new folder")
        )
    if (outer := find_root(root.parent)) is not None:
        raise HeadstartError(f"{root} would lie in the project {outer}; name a folder outside it")


def _name(root: Path) -> str:
    """The folder's name as a package may be called."""
    return re.sub(r"^[^a-z0-9]+|[^a-z0-9]+$", "", re.sub(r"[^a-z0-9]+", "-", root.name.lower())) or "project"


def _pretrained(params: str) -> str:
    """params.yaml with the weights that real pictures want."""
    if params.count(PRETRAINED[0]) != 1:
        raise HeadstartError("the package's params.yaml does not name its weights: install headstart again")
    return params.replace(*PRETRAINED)


def _write(root: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        write_text(root / name, text)
        if template.is_program(name):
            (root / name).chmod(0o755)


def _repository_around(folder: Path) -> Path | None:
    """The root of the git repository that a folder lies in, if there is one."""
    try:
        return Path(git_line("rev-parse", "--show-toplevel", folder=folder))
    except HeadstartError:
        return None


def _start_git_and_dvc(root: Path, texts: Mapping[str, str], *, is_inner: bool) -> None:
    settings = texts[".dvc/config"]
    shutil.move(root / ".dvc", root / "kept")
    if is_inner:
        # DVC looks for the repository around it, which the folder is in from the start
        dvc("init", "--quiet", "--subdir", folder=root)
    else:
        git("init", "--quiet", "--initial-branch=main", folder=root)
        dvc("init", "--quiet", folder=root)
    shutil.copytree(root / "kept", root / ".dvc", dirs_exist_ok=True)
    shutil.rmtree(root / "kept")
    write_text(root / ".dvc" / "config", settings)


def _add_sample(root: Path, draw: Callable[[Path], object]) -> None:
    draw(root / "data")
    write_text(root / "data.dvc", template.text_of(template.DATA))
    dvc("commit", "--quiet", "data.dvc", folder=root)


def _commit(root: Path) -> str:
    git("add", "--all", folder=root)
    author = {} if _has_identity(root) else repository.AUTHOR
    message = f"A project made by headstart {__version__}"
    options = ("--quiet", "--no-verify", "--no-gpg-sign", "--message", message)
    git("commit", *options, folder=root, env=author)
    return git_line("rev-parse", "HEAD", folder=root)


def _has_identity(root: Path) -> bool:
    try:
        setup.identity(root)
    except HeadstartError:
        return False
    return True
