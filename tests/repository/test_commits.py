"""A commit is recorded so that it can be given back, from a subfolder and from a shallow clone too."""

from pathlib import Path

import pytest
from projects import GIT, mark_project, run

from headstart import repository
from headstart.errors import LineageError
from headstart.repository import commits, fresh_clone, needs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of a git repository, with two commits and an uncommitted change."""
    top = tmp_path / "git"
    root = top / "parts" / "product"
    root.mkdir(parents=True)
    run(top, "git", "init", "--quiet", "--initial-branch=main")
    mark_project(root)
    for text in ("one\n", "two\n"):
        (root / "params.yaml").write_text(text)
        commit(root)
    (root / "params.yaml").write_text("three\n")
    monkeypatch.chdir(root)
    return root


def commit(root: Path) -> None:
    run(root, "git", "add", "--all", ".")
    run(root, *GIT, "commit", "--quiet", "--message", "a test's state")


def shallow_clone(project: Path, tmp_path: Path) -> Path:
    """A clone without history, with a commit that nothing else has."""
    source = f"file://{project.parent.parent}"
    run(tmp_path, "git", "clone", "--quiet", "--depth", "1", source, "shallow")
    clone = tmp_path / "shallow" / "parts" / "product"
    (clone / "params.yaml").write_text("local\n")
    commit(clone)
    return clone


@pytest.mark.parametrize("setting", ["diff.relative=true", "diff.noprefix=true", "color.ui=always"])
def test_changes_in_a_subfolder_are_applied_to_a_fresh_clone(
    project: Path, tmp_path: Path, setting: str
) -> None:
    run(project, "git", "config", *setting.split("="))
    here = repository.current_commit()
    assert (here.folder, here.dirty, here.is_shallow) == ("parts/product", True, False)
    fresh_clone.clone_at(tmp_path / "fresh", here.commit, "", lambda path: False)
    fresh_clone.apply_diff(tmp_path / "fresh", here.diff)
    assert (tmp_path / "fresh" / here.folder / "params.yaml").read_text() == "three\n"
    assert commits.changed_paths() == ["params.yaml"]


def test_a_repository_that_holds_no_project_is_not_asked_for_a_commit(project: Path, tmp_path: Path) -> None:
    commit = repository.current_commit().commit
    (project / "dvc.yaml").unlink()
    with pytest.raises(LineageError, match="neither in this clone"):
        fresh_clone.clone_at(tmp_path / "fresh", commit, "", lambda path: False)


def test_a_commit_that_a_bundle_could_not_give_back_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.check_recordable(repository.current_commit())
    monkeypatch.chdir(shallow_clone(project, tmp_path))
    with pytest.raises(LineageError, match="git fetch --unshallow"):
        repository.check_recordable(repository.current_commit())
    run(Path.cwd(), "git", "fetch", "--quiet", "--unshallow")
    repository.check_recordable(here := repository.current_commit())
    repository.bundle(tmp_path / "bundle")
    run(tmp_path, "git", "clone", "--quiet", "bundle", "from-bundle")
    assert run(tmp_path / "from-bundle", "git", "rev-parse", "HEAD").stdout.strip() == here.commit


def test_a_bundle_without_history_still_gives_its_commit(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shallow_clone(project, tmp_path))
    here = repository.current_commit()
    repository.bundle(tmp_path / "bundle")
    monkeypatch.chdir(project)

    def fetch(path: Path) -> bool:
        path.write_bytes((tmp_path / "bundle").read_bytes())
        return True

    assert fresh_clone.clone_at(tmp_path / "fresh", here.commit, "", fetch) == "the bundle of the record"
    assert (tmp_path / "fresh" / here.folder / "params.yaml").read_text() == "local\n"


@pytest.mark.parametrize(
    ("ref", "advice"), [("refs/runs/1", "REMOTE refs/runs/1`"), ("", ":refs/heads/NAME`")]
)
def test_a_commit_that_is_nowhere_is_reported_with_what_to_do(
    project: Path, tmp_path: Path, ref: str, advice: str
) -> None:
    with pytest.raises(LineageError, match=f"in the clone that made it.*git push .*{advice}"):
        fresh_clone.clone_at(tmp_path / "fresh", "0" * 40, ref, lambda path: False)


def test_marks_keep_no_data_and_end_with_their_ref(project: Path) -> None:
    ref = commits.keep_data("ab12.dir")
    commits.mark_stored(ref)
    kept = run(project, "git", "rev-parse", ref).stdout.strip()
    assert (ref, kept) in needs._refs(project, 7)
    run(project, "git", "update-ref", "-d", ref)
    assert kept not in {commit for _, commit in needs._refs(project, 7)}
    assert commits.is_stored(ref)
    commits.keep_data("ab12.dir")  # the data comes back: its files may be gone
    assert not commits.is_stored(ref)


def test_a_commit_lasts_only_on_the_default_branch_of_a_remote(project: Path) -> None:
    top = project.parent.parent
    run(top, "git", "clone", "--quiet", "--bare", ".", str(top.parent / "origin"))
    run(top, "git", "remote", "add", "origin", str(top.parent / "origin"))
    run(top, "git", "fetch", "--quiet", "origin")
    run(top, "git", "remote", "set-head", "origin", "main")
    assert (repository.current_commit().on_remote, repository.current_commit().is_lasting) == (True, True)
    run(top, "git", "checkout", "--quiet", "-b", "a-feature")
    commit(project)
    run(top, "git", "push", "--quiet", "origin", "a-feature")
    assert (repository.current_commit().on_remote, repository.current_commit().is_lasting) == (True, False)
