"""Untracked files: source files are recorded with a result, secrets never are."""

from pathlib import Path

import pytest
from projects import GIT, run

from headstart import repository
from headstart.errors import LineageError
from headstart.repository.new_files import is_recorded, new_files

STAGE = "src/headstart/pipeline/data/stage.py"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "src/headstart/__init__.py", "")
    write(tmp_path, "src/headstart/__main__.py", "")
    write(tmp_path, STAGE, "value = 1\n")
    write(tmp_path, "flows/training.py", "")
    write(tmp_path, "dvc.yaml", "stages: {validate: {cmd: x, deps: [src/headstart/pipeline/data]}}\n")
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    run(tmp_path, "git", "add", "--all")
    run(tmp_path, *GIT, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    "path",
    [
        "src/headstart/pipeline/network/tokenizer.py",
        "flows/nightly.py",
        "src/headstart/pipeline/pages/page.html.j2",
        "src/headstart/keyboard.json",
        "flows/environment.yaml",
    ],
)
def test_new_source_files_are_recorded(path: str) -> None:
    assert is_recorded(path)


@pytest.mark.parametrize(
    "path",
    [
        "flows/.env",
        "flows/.env.yaml",
        "flows/prod.env",
        "src/headstart/local_secrets.py",
        "src/secrets/all.py",
        "flows/aws-credentials.json",
        "flows/passwords.txt",
        "flows/slack_token.txt",
        "flows/service-account.json",
        "flows/API_KEY.txt",
        "flows/server.pem",
        "flows/server.key",
        "flows/id_rsa",
        "flows/.netrc",
        "flows/config.local",
        "flows/notes.bin",
        "flows/Makefile",
    ],
)
def test_secrets_and_other_kinds_are_not(path: str) -> None:
    assert not is_recorded(path)


def test_neither_the_diff_nor_the_kept_run_has_a_secret(project: Path) -> None:
    write(project, "flows/.env", "PASSWORD=hunter2\n")
    write(project, "src/headstart/local_secrets.py", "password = 'hunter2'\n")
    write(project, "flows/[new]\nflow.py", "new = 1\n")
    diff = repository.current_commit().diff
    assert b"hunter2" not in diff
    assert b"+new = 1" in diff
    ref = repository.keep_run("one")
    kept = run(project, "git", "grep", "-c", "", ref, check=False).stdout
    assert "secrets" not in kept
    assert ".env" not in kept
    assert "flow.py" in kept
    assert new_files().left_out == ("flows/.env", "src/headstart/local_secrets.py")


def test_a_secret_that_a_stage_imports_is_an_error(project: Path) -> None:
    write(project, STAGE, "from headstart import local_secrets\n")
    write(project, "src/headstart/local_secrets.py", "password = 'hunter2'\n")
    with pytest.raises(LineageError, match=r"stages use src/headstart/local_secrets\.py, which git does not"):
        repository.current_commit()


def test_an_import_that_git_ignores_is_an_error(project: Path) -> None:
    write(project, STAGE, "from headstart.local import value\n")
    write(project, "src/headstart/local.py", "value = 1\n")
    repository.current_commit()
    write(project, ".gitignore", "local.py\n")
    with pytest.raises(LineageError, match=r"stages use src/headstart/local\.py"):
        repository.current_commit()


def test_another_kind_of_file_in_a_dependency_is_an_error(project: Path) -> None:
    write(project, "src/headstart/pipeline/data/table.bin", "1")
    with pytest.raises(LineageError, match=r"stages use src/headstart/pipeline/data/table\.bin"):
        repository.current_commit()
    write(project, ".gitignore", "*.bin\n")
    repository.current_commit()
