"""`headstart init`: a project of its own, whole or not at all."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from own_projects import make_project, nothing
from projects import GIT, ROOT, dvc, headstart, run
from ruamel.yaml import YAML

from headstart import __version__
from headstart.cli.project import draw_sample
from headstart.errors import HeadstartError
from headstart.projects.new_project import begin

PARTS = (
    *(
        "params.yaml",
        "dvc.yaml",
        "prefect.yaml",
        "automations.yaml",
        "pyproject.toml",
        "requirements.lock",
        "README.md",
    ),
    *("headstart.lock.yaml", ".gitignore", "Makefile", ".dvc/config", "flows/training.py", "mlflow/serve-ui"),
    *("tests/test_data.py", "tests/test_model.py", "bin/headstart"),
)


@pytest.fixture(scope="module")
def made(common: Path) -> Path:
    """A project in a folder whose name has spaces and capitals."""
    root = common / "My Bees & Ants"
    make_project(root)
    return root


def log(root: Path) -> str:
    return run(root, "git", "log", "--format=%an %s").stdout.strip()


def test_it_has_all_parts_and_no_code(made: Path) -> None:
    assert [name for name in PARTS if not (made / name).exists()] == []
    assert not (made / "src").exists()
    assert not (made / "dvc.lock").exists()
    assert not (made / "data.dvc").exists()
    assert os.access(made / "bin/headstart", os.X_OK)


def test_all_of_it_is_committed(made: Path) -> None:
    assert run(made, "git", "status", "--porcelain").stdout == ""
    assert run(made, "git", "branch", "--show-current").stdout.strip() == "main"
    assert log(made).endswith(f"A project made by headstart {__version__}")
    assert set(PARTS) <= set(run(made, "git", "ls-files").stdout.splitlines())


def test_its_packages_are_pinned_exactly(made: Path) -> None:
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-bees-ants"
    own, *others = project["dependencies"]
    assert re.fullmatch(rf"headstart(\[[\w,]+\])?=={re.escape(__version__)}", own)  # with installed extras
    assert "torch" in {pin.partition("==")[0] for pin in others}
    assert all("==" in pin for pin in project["dependencies"])


def test_real_pictures_get_the_pretrained_network(made: Path) -> None:
    params = YAML(typ="safe", pure=True).load(made / "params.yaml")
    own = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    assert params["backbone"].pop("weights") == "IMAGENET1K_V1"
    assert own["backbone"].pop("weights") == "random"
    assert params == own


def test_dvc_understands_it(made: Path) -> None:
    assert "backbone" in dvc(made, "dag")
    assert dvc(made, "remote", "list").split()[0] == "local"
    assert "headstart/remotes/my-bees-ants-" in (made / ".dvc/config").read_text()


def test_commands_find_it_from_any_of_its_folders(made: Path) -> None:
    said = run(made / "flows", "sh", "-c", '"../bin/headstart" describe --classes 3').stdout
    assert "classifier" in said


@pytest.mark.slow
def test_a_demo_has_the_sample_under_dvc(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    made = begin(root, True, None, draw_sample)
    assert "data.dvc" in made.files
    assert (root / "data.dvc").read_text() == (ROOT / "data.dvc").read_text()
    assert YAML(typ="safe", pure=True).load(root / "params.yaml")["backbone"]["weights"] == "random"
    assert dvc(root, "status", "data.dvc").strip() == "Data and pipelines are up to date."
    assert run(root, "git", "status", "--porcelain").stdout == ""


def test_an_empty_folder_may_be_the_one_that_the_shell_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    before = here.stat().st_ino
    monkeypatch.chdir(here)
    begin(Path(), False, None, nothing)
    assert here.stat().st_ino == before
    assert Path("params.yaml").exists()
    assert log(here)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(HeadstartError, match="is not empty, so no project was made there; name a new folder"):
        begin(tmp_path / "full", False, None, nothing)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(HeadstartError, match="is no folder"):
        begin(tmp_path / "file", False, None, nothing)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_project_is_not_begun_again_or_within_another(made: Path) -> None:
    with pytest.raises(HeadstartError, match="`headstart upgrade` brings a project to this version"):
        begin(made, False, None, nothing)
    with pytest.raises(HeadstartError, match="would lie in the project"):
        begin(made / "inner", False, None, nothing)
    with pytest.raises(HeadstartError, match="would lie in the project"):
        begin(ROOT / "inner", False, None, nothing)


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        begin(tmp_path / "new" / "project", True, None, full)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_repository_around_it_is_left_to_its_owner(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet")
    made = make_project(tmp_path / "project")
    assert made.commit is None
    assert not (tmp_path / "project/.git").exists()
    assert run(tmp_path, "git", "ls-files").stdout == ""  # not even its index
    run(tmp_path / "project", "git", "add", ".")
    run(tmp_path, *GIT, "commit", "--quiet", "--message", "a project within")
    assert "backbone" in dvc(tmp_path / "project", "dag")


def test_a_repository_that_would_lose_a_part_is_named(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet")
    (tmp_path / ".gitignore").write_text("bin/\n*.lock\n")
    with pytest.raises(HeadstartError, match="git would ignore bin/headstart, requirements.lock"):
        make_project(tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_rules_of_the_user_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ignored").write_text("bin/\n*.lock\n*.yaml\n")
    (tmp_path / "config").write_text(f"[core]\n\texcludesFile = {tmp_path / 'ignored'}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    made = make_project(tmp_path / "project")
    assert set(made.files) == set(run(made.root, "git", "ls-files").stdout.splitlines())


def test_a_folder_that_holds_only_a_repository_may_be_the_project(tmp_path: Path) -> None:
    root = tmp_path / "cloned"
    root.mkdir()
    run(root, "git", "init", "--quiet")
    made = make_project(root, ci="gitlab")
    assert (made.root, made.commit) == (root, None)
    assert sorted(path.name for path in root.iterdir() if "init" in path.name) == []


def test_git_that_would_work_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    with pytest.raises(HeadstartError, match="GIT_DIR is set"):
        make_project(tmp_path / "project")


def test_a_workflow_that_nobody_would_read_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet")
    with pytest.raises(HeadstartError, match="only its root is searched for workflows"):
        make_project(tmp_path / "project", ci="github")
    assert [path.name for path in tmp_path.iterdir() if path.name != "dvc"] == [".git"]


def test_without_an_identity_the_first_commit_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for role in ("AUTHOR", "COMMITTER"):
        for part in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{part}", raising=False)
    make_project(tmp_path / "project")
    assert log(tmp_path / "project").startswith("headstart ")


def test_the_command_says_what_comes_next(tree: Path, tmp_path: Path) -> None:
    run(tmp_path, str(tree / "bin/headstart"), "init", "new", "--json")
    assert (tmp_path / "new/params.yaml").exists()
    again = run(tmp_path, str(tree / "bin/headstart"), "init", "new", check=False)
    assert again.returncode == 1
    assert "is not empty" in again.stdout
    assert "headstart init" in headstart(tree, "init", "--help")
