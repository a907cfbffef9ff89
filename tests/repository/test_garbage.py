"""Finding garbage leaves no trace: git's remotes are queried, but no ref of the clone changes."""

from pathlib import Path

from projects import GIT, run

from headstart.repository import garbage
from headstart.repository.commits import RUNS


def refs(root: Path) -> str:
    return run(root, "git", "for-each-ref").stdout


def push_from_another_clone(repository: Path) -> str:
    """Push a branch, a tag and a run that only the git remote then has; return the run's commit."""
    origin, other = repository.parent / "origin", repository.parent / "other"
    run(repository.parent, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    run(repository, "git", "remote", "add", "origin", str(origin))
    run(repository, "git", "push", "--quiet", "origin", "main")
    run(repository.parent, "git", "clone", "--quiet", str(origin), "other")
    run(other, *GIT, "commit", "--quiet", "--allow-empty", "--message", "elsewhere")
    run(other, *GIT, "tag", "--annotate", "v1", "--message", "a tag")
    run(other, "git", "update-ref", f"{RUNS}/theirs", "HEAD")
    run(other, "git", "push", "--quiet", "origin", "HEAD:refs/heads/theirs", "v1", f"{RUNS}/theirs")
    return run(other, "git", "rev-parse", "HEAD").stdout.strip()


def test_a_dry_run_keeps_what_remotes_have_and_changes_no_ref(repository: Path) -> None:
    push_from_another_clone(repository)
    before = refs(repository)
    found = garbage.collect({}, days=7, remote="local", projects=[], delete=False)
    assert {
        "origin: refs/heads/main",
        "origin: refs/heads/theirs",
        "origin: refs/tags/v1",
        f"origin: {RUNS}/theirs",
    } <= set(found.kept)
    assert refs(repository) == before
    assert not (repository / ".git/FETCH_HEAD").exists()


def test_old_runs_of_a_remote_are_not_kept(repository: Path) -> None:
    commit = push_from_another_clone(repository)
    assert (f"origin: {RUNS}/theirs", commit) in garbage._remote_refs(days=7)
    assert f"origin: {RUNS}/theirs" not in dict(garbage._remote_refs(days=0))
