"""`headstart init`: a small project that runs the installed package, under git and DVC."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart import __version__, repository
from headstart.errors import HeadstartError
from headstart.ground.files import write_text
from headstart.ground.paths import CODE_LOCK
from headstart.ground.wording import named
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
        HeadstartError: the folder holds something, lies in a project already, or git would ignore its files.
        LineageError: git or DVC fails.
    """
    root = _place_of(folder)
    around = _repository_around(root)
    if ci and around not in (None, root):
        raise HeadstartError(
            f"--ci: {root} would lie in the repository {around}, and only its root is searched for "
            "workflows; choose a folder outside it, or leave --ci out"
        )
    texts = template.files(_name(root), [ci] if ci else [])
    if not demo:
        texts["params.yaml"] = _pretrained(texts["params.yaml"])
    root.parent.mkdir(parents=True, exist_ok=True)
    near = root if root.exists() else root.parent  # on the same file system
    with tempfile.TemporaryDirectory(dir=near, prefix=".headstart-init-") as temporary:
        made = Path(temporary) / "project"
        made.mkdir()
        _write(made, texts)
        lock_file.write(made, lock_file.contents(template.rewritten(texts)))
        if around is None:
            git("init", "--quiet", "--initial-branch=main", folder=made)
        if demo:
            _add_sample(made, draw)
        names = sorted([*texts, str(CODE_LOCK), *([template.DATA] if demo else [])])
        if around is not None:
            _check_recorded(made, names)
        commit = _commit(made, names) if around is None else None
        _move(made, root)
    return Made(root, tuple(names), commit)


def _place_of(folder: Path) -> Path:
    """The absolute folder for a project.

    Raises:
        HeadstartError: it holds something, lies in a project, or git cannot be used.
    """
    root = Path(os.path.abspath(folder))  # noqa: PTH100  # without `..`, and with links as they are
    root = root.resolve() if root.is_symlink() else root
    if shutil.which("git") is None:
        raise HeadstartError("git is not installed, and a project is a git repository: install git")
    if elsewhere := [name for name in ("GIT_DIR", "GIT_WORK_TREE") if name in os.environ]:
        raise HeadstartError(f"{elsewhere[0]} is set, so git would work elsewhere: unset it")
    if root.exists() and not root.is_dir():
        raise HeadstartError(f"{root} is no folder; name one that is new or empty")
    if root.exists() and any(path.name != ".git" for path in root.iterdir()):
        advice = (
            "`headstart upgrade` brings a project to this version" if find_root(root) else "name a new folder"
        )
        raise HeadstartError(f"{root} is not empty, so no project was made there; {advice}")
    if (outer := find_root(root.parent)) is not None:
        raise HeadstartError(f"{root} would lie in the project {outer}; name a folder outside it")
    return root


def _move(made: Path, root: Path) -> None:
    """Move a finished project to its folder; one that exists stays, since a shell may stand in it.

    Raises:
        HeadstartError: meanwhile somebody has put something there.
    """
    try:
        if root.exists():
            for path in made.iterdir():
                if (root / path.name).exists():
                    raise FileExistsError(errno.EEXIST, "there already", path.name)
                path.rename(root / path.name)
        else:
            made.rename(root)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise HeadstartError(f"{root} is not empty any more, so no project was made there") from error


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


def _repository_around(root: Path) -> Path | None:
    """The root of the git repository that a folder is or would be in, if there is one.

    Raises:
        LineageError: there is one, and git refuses it.
    """
    found = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    return None if found is None else Path(git_line("rev-parse", "--show-toplevel", folder=found))


def _add_sample(root: Path, draw: Callable[[Path], object]) -> None:
    draw(root / "data")
    write_text(root / template.DATA, template.text_of(template.DATA))
    dvc("commit", "--quiet", template.DATA, folder=root)


def _check_recorded(root: Path, names: Sequence[str]) -> None:
    """Check that the repository around a project would take all of its files.

    Raises:
        HeadstartError: its rules ignore one.
    """
    ignored = git("ls-files", "--others", "--ignored", "--exclude-standard", "-z", folder=root)
    if lost := sorted(set(ignored.decode(errors="surrogateescape").split("\0")) & set(names)):
        raise HeadstartError(
            f"git would ignore {named(lost, 3)} by the rules of the repository around it, or your own, and a "
            "result needs them to be made again; change the rules (`git check-ignore -v`), or the folder"
        )


def _commit(root: Path, names: Sequence[str]) -> str:
    git("add", "--force", "--", *names, folder=root)  # whatever a user's own rules ignore
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
