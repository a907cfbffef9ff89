"""Garbage is what nothing in git needs, wherever it stands; it is moved aside and can be brought back."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dvc.repo import Repo
from projects import GIT, run

from headstart.errors import LineageError
from headstart.repository import garbage, needs, stores
from headstart.repository.commits import DATA_VERSIONS, RUNS


@pytest.fixture(params=["root", "subfolder"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project with a remote, at the root of a git repository or in a folder of it."""
    top = tmp_path / "git"
    root = top / "parts" / "product" if request.param == "subfolder" else top
    root.mkdir(parents=True)
    run(top, "git", "init", "--quiet", "--initial-branch=main")
    Repo.init(str(root), subdir=request.param == "subfolder").close()
    (root / ".dvc" / "config").write_text(
        f"[core]\n    remote = far\n['remote \"far\"']\n    url = {tmp_path / 'far'}\n"
    )
    monkeypatch.chdir(root)
    commit(root)
    return root


def commit(root: Path) -> None:
    run(root, "git", "add", "--all", ".")
    run(root, *GIT, "commit", "--quiet", "--allow-empty", "--message", "a test's state")


def store(root: Path, text: str) -> str:
    """Put a file into the cache and the remote; return its digest."""
    content = text.encode()
    end = ".dir" if text.startswith("[") else ""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest() + end
    for place in places(root, digest):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return digest


def places(root: Path, digest: str) -> list[Path]:
    """Where a file is in the cache and on the remote."""
    top = root if root.name == "git" else root.parent.parent
    bases = (root / ".dvc/cache", top.parent / "far")
    return [base / "files/md5" / digest[:2] / digest[2:] for base in bases]


def use(root: Path, text: str) -> tuple[str, str]:
    """Write a data.dvc for a folder with one file; return the digests of its list and of the file."""
    file = store(root, text)
    listed = store(root, json.dumps([{"md5": file, "relpath": "a.png"}]))
    (root / "data.dvc").write_text(f"outs:\n- md5: {listed}\n  path: data\n")
    return listed, file


def collect(delete: bool = False, **settings: object) -> garbage.Garbage:
    options = {"days": 7, "remote": "far", "projects": []} | settings
    return garbage.collect({}, delete=delete, **options)  # type: ignore[arg-type]


def tag(root: Path) -> None:
    commit(root)
    run(root, *GIT, "tag", "--annotate", "v1", "--message", "a tag")


def experiment(root: Path) -> None:
    commit(root)
    run(root, "git", "update-ref", "refs/exps/12/345678/red-dog", "HEAD")


def version(root: Path) -> None:
    commit(root)
    run(root, "git", "update-ref", "refs/versions/headstart/1", "HEAD")


def two_stashes(root: Path) -> None:
    run(root, *GIT, "stash", "--include-untracked")
    (root / "other").write_text("later")
    run(root, *GIT, "stash", "--include-untracked")


def index(root: Path) -> None:
    run(root, "git", "add", "data.dvc")
    (root / "data.dvc").unlink()


def worktree(root: Path) -> None:
    """The file is in a second worktree alone, uncommitted and in a folder where no project is now."""
    other = places(root, "00")[1].parents[3] / "second"
    run(root, "git", "worktree", "add", "--quiet", "--detach", str(other))
    (other / "deep").mkdir()
    (root / "data.dvc").rename(other / "deep" / "data.dvc")


def conflict(root: Path) -> None:
    text = (root / "data.dvc").read_text()
    (root / "data.dvc").unlink()
    (root / "dvc.lock").write_text(f"<<<<<<< HEAD\n=======\n{text}>>>>>>> theirs\n")


KEEPERS = (tag, experiment, version, two_stashes, index, worktree, conflict)


@pytest.mark.parametrize("keep", KEEPERS, ids=lambda keep: keep.__name__)
def test_what_git_knows_keeps_its_files(project: Path, keep: Callable[[Path], None]) -> None:
    wanted = use(project, "kept")
    keep(project)
    if keep in (tag, experiment, version):
        run(project, "git", "reset", "--quiet", "--hard", "HEAD~1")
    rubbish = store(project, "rubbish")
    found = collect(delete=True)
    assert (found.cache, found.remote) == ((rubbish,), (rubbish,))
    assert all(place.exists() for digest in wanted for place in places(project, digest))
    assert not any(place.exists() for place in places(project, rubbish))


def test_a_version_of_the_data_keeps_the_data_and_no_outs(project: Path) -> None:
    kept, out = use(project, "first"), store(project, "features of the first")
    (project / "dvc.lock").write_text(f"stages:\n  features:\n    outs:\n    - path: a\n      md5: {out}\n")
    commit(project)
    run(project, "git", "update-ref", f"{DATA_VERSIONS}/{kept[0]}", "HEAD")
    run(project, "git", "rm", "--quiet", "dvc.lock", "data.dvc")
    run(project, *GIT, "commit", "--quiet", "--amend", "--allow-empty", "--message", "nothing")
    run(project, "git", "reflog", "expire", "--expire=now", "--all")
    collect(delete=True)
    assert all(place.exists() for digest in kept for place in places(project, digest))
    assert not any(place.exists() for place in places(project, out))


def test_what_is_removed_can_be_brought_back_within_a_week(project: Path) -> None:
    gone = use(project, "gone")
    (project / "data.dvc").unlink()
    found = collect(delete=True)
    assert set(found.cache) == set(found.remote) == set(gone)
    assert [Path(folder).parent.name for folder in found.aside] == ["removed", "removed"]
    assert garbage.restore("far") == 4
    assert all(place.exists() for digest in gone for place in places(project, digest))
    assert garbage.restore("far") == 0


def test_files_aside_are_removed_after_a_week_unless_they_are_needed_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = use(project, "needed again")
    (project / "data.dvc").rename(project / "put away")
    rubbish = store(project, "rubbish")
    long_ago = (datetime.now(UTC) - timedelta(days=8)).strftime(stores.STAMP)
    with monkeypatch.context() as patch:
        patch.setattr(stores, "stamp_of_now", lambda: long_ago)
        patch.setattr(stores, "KEPT_DAYS", 9)
        collect(delete=True)
    (project / "put away").rename(project / "data.dvc")
    assert collect().lost == {}  # the list is found where it was moved to
    found = collect(delete=True)
    assert (found.cache, found.forgotten) == ((), 2)
    assert all(place.exists() for digest in again for place in places(project, digest))
    assert garbage.restore("far") == 0
    assert not any(place.exists() for place in places(project, rubbish))


def test_nothing_is_removed_if_a_needed_folder_has_lost_its_list(project: Path) -> None:
    listed, file = use(project, "whose?")
    for place in places(project, listed):
        place.unlink()
    assert collect().lost == {listed: "this folder"}
    with pytest.raises(LineageError, match=rf"{listed} \(this folder\).*--without-lists"):
        collect(delete=True)
    assert all(place.exists() for place in places(project, file))
    assert collect(delete=True, without_lists=True).cache == (file,)


def test_source_folders_that_a_stage_depends_on_have_no_list(project: Path) -> None:
    data = use(project, "an image")
    file = store(project, "an out")
    deps = f"    deps:\n    - path: src\n      md5: {'0' * 32}.dir\n    - path: data\n      md5: {data[0]}\n"
    (project / "dvc.lock").write_text(
        f"stages:\n  train:\n{deps}    outs:\n    - path: a\n      md5: {file}\n"
    )
    (project / "data.dvc").unlink()
    found = collect(delete=True)
    assert (found.cache, found.lost) == ((), {})


def test_a_list_that_the_remote_alone_has_is_found(project: Path) -> None:
    listed, _ = use(project, "far away")
    places(project, listed)[0].unlink()
    found = collect(delete=True)
    assert (found.cache, found.remote, found.lost) == ((), (), {})


def test_a_remote_that_keeps_versions_is_left_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rubbish = store(project, "rubbish")
    monkeypatch.setattr(stores, "remote", lambda folder, name: None)
    found = collect(delete=True)
    assert (found.cache, found.remote) == ((rubbish,), ())
    assert found.left == "it keeps versions of files itself"


def test_another_clone_with_this_cache_keeps_its_files(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run(tmp_path, "git", "init", "--quiet", "other")
    Repo.init(str(other)).close()
    wanted = use(project, "theirs")
    (project / "data.dvc").rename(other / "data.dvc")
    assert set(collect().cache) == set(wanted)
    assert collect(projects=[str(other)]).cache == ()


def refs(root: Path) -> str:
    return run(root, "git", "for-each-ref").stdout


def push_from_another_clone(root: Path, tmp_path: Path) -> tuple[str, ...]:
    """Push a branch, a tag, an experiment and a run that only the git remote then has."""
    origin, other = tmp_path / "origin", tmp_path / "elsewhere"
    run(tmp_path, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    run(root, "git", "remote", "add", "origin", str(origin))
    run(root, "git", "push", "--quiet", "origin", "main")
    run(tmp_path, "git", "clone", "--quiet", str(origin), "elsewhere")
    digests: list[str] = []
    for number, name in enumerate(("refs/heads/theirs", "refs/exps/12/3456/dog", f"{RUNS}/theirs")):
        digests += use(root, f"elsewhere {number}")
        (root / "data.dvc").rename(other / "data.dvc")
        commit(other)
        run(other, "git", "push", "--quiet", "origin", f"HEAD:{name}")
    run(other, *GIT, "tag", "--annotate", "v1", "--message", "a tag")
    run(other, "git", "push", "--quiet", "origin", "v1")
    return tuple(digests)


def test_a_dry_run_keeps_what_git_remotes_have_and_changes_no_ref(project: Path, tmp_path: Path) -> None:
    push_from_another_clone(project, tmp_path)
    before = refs(project)
    found = collect()
    assert found.cache == ()
    names = ("refs/heads/theirs", "refs/exps/12/3456/dog", "refs/tags/v1", f"{RUNS}/theirs")
    assert {f"origin: {name}" for name in names} <= set(found.kept)
    assert refs(project) == before
    assert not list(project.rglob("FETCH_HEAD"))


def test_a_git_remote_that_is_gone_stops_it(project: Path, tmp_path: Path) -> None:
    push_from_another_clone(project, tmp_path)
    (tmp_path / "origin").rename(tmp_path / "moved")
    with pytest.raises(LineageError, match="git remote remove origin"):
        collect(delete=True, remote=None)


def test_old_runs_of_a_remote_are_not_kept(project: Path, tmp_path: Path) -> None:
    push_from_another_clone(project, tmp_path)
    assert f"origin: {RUNS}/theirs" in dict(needs._remote_refs(project, days=7))
    assert f"origin: {RUNS}/theirs" not in dict(needs._remote_refs(project, days=0))


def test_settings_are_shared_to_the_letter(project: Path, tmp_path: Path) -> None:
    odd = """a#b"c' ,d=e"""
    with stores.Config(str(project / ".dvc")).edit("local") as config:
        config["remote"] = {"far": {"url": "ssh://host/x", "password": odd}}
        config["cache"] = {"dir": str(tmp_path / "ca #che")}
    other = tmp_path / "clone"
    other.mkdir()
    stores.share_settings(project, other)
    shared = stores.Config(str(other / ".dvc"), validate=False)
    assert shared["remote"]["far"]["password"] == odd
    assert shared["cache"]["dir"] == str(tmp_path / "ca #che")
    assert (other / ".dvc/config.local").stat().st_mode & 0o077 == 0
