"""A version of the data is pushed with DVC once; its git ref leaves this clone only if that is set."""

from pathlib import Path

import pytest
from projects import run
from sections import section

from headstart import repository as project
from headstart.orchestration import new_images


def test_the_ref_of_a_version_of_the_data_stays_here_unless_it_is_to_be_sent(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(repository.parent, "git", "init", "--quiet", "--bare", "origin")
    run(repository, "git", "remote", "add", "origin", "../origin")
    pushed: list[str] = []
    push = project.push_data
    monkeypatch.setattr(project, "push_data", lambda: (pushed.append("data"), push()))
    for _ in range(2):
        new_images.keep_data(section("repository"))
    ref = f"refs/data/{project.data_version().removesuffix('.dir')}"
    assert run(repository, "git", "for-each-ref", "--format=%(refname)", "refs/data").stdout.split() == [ref]
    assert run(repository, "git", "ls-remote", "origin").stdout == ""
    assert list((repository.parent / "project-remote").rglob("*.dir"))
    for _ in range(2):
        new_images.keep_data(section("repository", push_refs=True))
    assert run(repository, "git", "ls-remote", "origin").stdout.split()[1:] == [ref]
    assert pushed == ["data"]
