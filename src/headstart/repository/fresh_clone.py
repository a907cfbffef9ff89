"""A separate clone at a recorded commit, with the same DVC cache and remotes as the user's."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.errors import LineageError
from headstart.host.project import find_root
from headstart.repository.programs import dvc, git, git_line
from headstart.repository.results import read_yaml

AT_ONCE = 1000  # names per command: the system limits its length


def clone_at(folder: Path, commit: str, ref: str, bundle: Callable[[Path], bool]) -> str:
    """Check out a commit in a new repository, leaving the user's untouched.

    The commit is searched for in the working folder's clone, on its git remotes, and in the bundle of the
    record.

    Args:
        folder: created by this function.
        commit: full hash.
        ref: `refs/runs/...` of the run, under which a remote may also have the commit; "" for none.
        bundle: writes the recorded bundle to a path; returns False if there is none.

    Returns:
        Where it was found, in words.

    Raises:
        LineageError: it is in none of these places.
    """
    git("init", "--quiet", str(folder))
    found = _find(folder, commit, ref, bundle)
    git("checkout", "--quiet", "--detach", commit, folder=folder)
    return found


def _find(folder: Path, commit: str, ref: str, bundle: Callable[[Path], bool]) -> str:
    inside = _is_clone()
    if inside and git_line("rev-parse", "--is-shallow-repository") == "false":
        objects = Path(git_line("rev-parse", "--git-path", "objects")).resolve()
        (folder / ".git/objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    if _has(folder, commit):
        return "this clone"
    failures = []
    for name in git_line("remote").splitlines() if inside else []:
        address = _address(name)
        for refs in ["+refs/heads/*:refs/remotes/origin/*", *([f"+{ref}:{ref}"] if ref else [])]:
            try:
                git("fetch", "--quiet", "--tags", address, refs, folder=folder)
            except LineageError as error:
                failures.append(f"{name}: {error}")
            if _has(folder, commit):
                return f"git remote {name}"
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "commit.bundle"
        if bundle(path):
            git("bundle", "unbundle", str(path), folder=folder)  # that of a shallow clone cannot be fetched
            if _has(folder, commit):
                return "the bundle of the record"
    said = "".join(f"\n{failure}" for failure in failures)
    raise LineageError(
        f"commit {commit} is neither in this clone, nor on its git remotes, nor in a bundle of the record. "
        "Run this in the clone that made it, or send the commit from there to a git remote of this clone: "
        f"`git push REMOTE {ref or f'{commit}:refs/heads/NAME'}`{said}"
    )


def _is_clone() -> bool:
    """Whether the working folder is in a project that git has; another repository is not asked."""
    return find_root(Path.cwd()) is not None and git_line("rev-parse", "--is-inside-work-tree") == "true"


def _address(remote: str) -> str:
    """A remote's address; a relative path starts from the root of the user's clone."""
    address = git_line("remote", "get-url", remote)
    local = Path(git_line("rev-parse", "--show-toplevel")) / address
    return str(local) if local.exists() else address


def _has(folder: Path, commit: str) -> bool:
    try:
        git("cat-file", "-e", f"{commit}^{{commit}}", folder=folder)
    except LineageError:
        return False
    return True


def apply_diff(folder: Path, diff: bytes) -> None:
    """Apply the recorded uncommitted changes to the clone."""
    if diff:
        git("apply", "--binary", "--whitespace=nowarn", "-", folder=folder, stdin=diff)


def share_dvc(folder: Path) -> None:
    """Give another DVC project the cache and remotes of this one, through its `.dvc/config.local`."""
    from headstart.repository import stores

    stores.share_settings(Path.cwd(), folder)


def restore(folder: Path, targets: Sequence[str]) -> None:
    """Restore data and outs as recorded, from DVC's cache or remote, and check them.

    Raises:
        LineageError: something is in neither, or differs from the record.
    """
    dvc("pull", *targets, folder=folder)
    with TemporaryDirectory() as empty:  # digests are computed from the files, not remembered
        env = {"DVC_SITE_CACHE_DIR": empty}
        changed = dvc("status", "--json", *targets, folder=folder, env=env).strip()
    if changed and changed.splitlines()[-1] != "{}":
        raise LineageError(
            f"the files restored by DVC differ from the record: {changed}; if a file in DVC's cache is "
            "damaged, delete it there, so that it is fetched from the remote"
        )


def restore_files(data_dvc: Path, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Fetch single files of a version of the data, from DVC's cache or remote.

    Args:
        data_dvc: the recorded data.dvc.
        names: paths below the data folder.
        folder: an empty folder to put them in.

    Returns:
        Files by name, as far as they could be fetched.
    """
    dvc("init", "--quiet", "--no-scm", folder=folder)
    share_dvc(folder)
    shutil.copyfile(data_dvc, folder / "data.dvc")
    root = folder / read_yaml(data_dvc)["outs"][0]["path"]
    for start in range(0, len(names), AT_ONCE):
        targets = [f"{root.name}/{name}" for name in names[start : start + AT_ONCE]]
        try:
            dvc("pull", "--allow-missing", *targets, folder=folder)
        except LineageError:  # one missing file must not hold up the others
            for target in targets:
                _pull_one(folder, target)
    return {name: root / name for name in names if (root / name).is_file()}


def _pull_one(folder: Path, target: str) -> None:
    try:
        dvc("pull", target, folder=folder)
    except LineageError:
        return


def write_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy recorded files to their places in the clone."""
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
