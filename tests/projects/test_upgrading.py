"""`headstart upgrade`: what nobody edited is written again, and what users wrote stays."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_projects import make_project
from projects import ROOT, commit, run
from ruamel.yaml import YAML

from headstart import __version__
from headstart.cli.beginning import _report
from headstart.errors import LineageError, ParamsError
from headstart.ground.paths import CODE_LOCK
from headstart.params import load_params
from headstart.projects import lock_file, upgrading
from headstart.projects.upgrading import apply, plan
from headstart.repository import code_lock

OLD = "# as an earlier version wrote it\n"


@pytest.fixture(scope="module")
def original(common: Path) -> Path:
    make_project(common / "project", ci="github")
    return common / "project"


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "project")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_lock(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    lock = YAML(typ="safe", pure=True).load(root / CODE_LOCK)
    change(lock)
    YAML().dump(lock, root / CODE_LOCK)


def make_older(root: Path, *names: str) -> None:
    """Make files look as if an earlier version had written them."""
    for name in names:
        (root / name).write_text(OLD + (root / name).read_text())
    change_lock(root, lambda lock: lock["files"].update({name: digest(root / name) for name in names}))
    change_lock(root, lambda lock: lock.update(headstart="0.0.1"))


def contents(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def remove_line(root: Path, start: str) -> str:
    path = root / "params.yaml"
    lines = path.read_text().splitlines(keepends=True)
    [found] = [line for line in lines if line.startswith(start)]
    path.write_text("".join(line for line in lines if line is not found))
    return found


def test_a_project_of_this_version_has_nothing_to_do(project: Path) -> None:
    before = contents(project)
    found = plan(project)
    assert not found.changes
    assert _report(found, dry_run=False) == f"nothing to do: the project is at headstart {__version__}"
    apply(project, found)
    assert contents(project) == before


def test_what_nobody_edited_is_written_again(project: Path) -> None:
    before = contents(project)
    names = (
        "dvc.yaml",
        "flows/scoring.py",
        "bin/headstart",
        ".github/workflows/headstart.yaml",
        "pyproject.toml",
    )
    make_older(project, *names)
    found = plan(project)
    assert set(found.written) == set(names)
    assert (found.before, found.after) == ("0.0.1", __version__)
    apply(project, found)
    assert contents(project) == before
    assert (project / "bin/headstart").stat().st_mode & 0o111
    assert not plan(project).changes


def test_what_users_edited_stays_and_is_named(project: Path) -> None:
    make_older(project, "flows/training.py")
    for name in ("flows/training.py", "flows/scoring.py"):
        (project / name).write_text("# my own\n" + (project / name).read_text())
    found = plan(project)
    assert found.edited == ("flows/training.py",)  # of the other this version has no new text
    assert "flows/training.py" in _report(found, dry_run=True)
    assert upgrading.text_of(project, "flows/training.py") == (ROOT / "flows/training.py").read_text()
    apply(project, found)
    assert (project / "flows/training.py").read_text().startswith("# my own\n")
    assert plan(project).edited == ()  # it was named once


def test_files_of_users_are_never_written(project: Path) -> None:
    names = ("README.md", ".gitignore", ".dvc/config", "tests/test_data.py", "tests/test_model.py")
    for name in names:
        (project / name).write_text("mine")
    make_older(project)
    apply(project, plan(project))
    assert {(project / name).read_text() for name in names} == {"mine"}


def test_files_come_and_go_with_versions(project: Path) -> None:
    (project / "flows/old.py").write_text(OLD)
    (project / "flows/mine.py").write_text(OLD + "mine")
    (project / "automations.yaml").unlink()  # new in this version
    (project / "prefect.yaml").unlink()  # removed by the user

    def change(lock: dict[str, Any]) -> None:
        lock["files"] |= {"flows/old.py": digest(project / "flows/old.py"), "flows/mine.py": "0" * 64}
        del lock["files"]["automations.yaml"]

    change_lock(project, change)
    found = plan(project)
    assert (found.added, found.removed) == (("automations.yaml",), ("flows/old.py",))
    apply(project, found)
    assert (project / "automations.yaml").exists()
    assert (project / "flows/mine.py").exists()
    assert not (project / "flows/old.py").exists()
    assert not (project / "prefect.yaml").exists()


def test_the_reasons_for_each_stage_are_named(project: Path) -> None:
    def change(lock: dict[str, Any]) -> None:
        lock["stages"]["features"]["code"] = "0" * 64
        lock["stages"]["evaluate"]["libraries"]["scipy"] = "1.0"

    change_lock(project, change)
    stages = dict(plan(project).stages)
    scipy = code_lock.running("evaluate")["libraries"]["scipy"]
    assert list(stages) == ["features", "inspect", "train", "evaluate"]
    assert stages["features"] == ("other code",)
    assert stages["train"] == ("reads what features writes",)
    assert stages["evaluate"][0] == f"scipy {scipy} (was 1.0)"


def test_a_changed_definition_of_a_stage_is_a_reason(project: Path) -> None:
    path = project / "dvc.yaml"
    path.write_text(
        path.read_text().replace("      - preprocess\n    outs", "      - preprocess.weights\n    outs", 1)
    )
    change_lock(project, lambda lock: lock["files"].update({"dvc.yaml": digest(path)}))
    assert "another definition in dvc.yaml" in plan(project).stages["preprocess"]
    assert "validate" not in plan(project).stages


def test_keys_that_params_lacks_are_added_with_their_comments(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    lines = [remove_line(project, "  patience:"), remove_line(project, "  mirror:")]
    found = plan(project)
    assert found.keys == {"train.patience": 15, "gate.mirror": 0.85}
    assert found.stages["train"] == ("new key train.patience",)
    assert "gate" not in str(found.stages)
    assert "gate.mirror (0.85)" in _report(found, dry_run=True)
    apply(project, found)
    after = (project / "params.yaml").read_text()
    assert all(line in after for line in lines)
    assert sorted(after.splitlines()) == sorted(before.splitlines())
    load_params(project / "params.yaml")


def test_a_dry_run_changes_nothing(project: Path) -> None:
    make_older(project, "dvc.yaml")
    remove_line(project, "  patience:")
    before = contents(project)
    said = run(project, "bin/headstart", "upgrade", "--dry-run").stdout
    assert "Would change" in said
    assert f"headstart 0.0.1 to {__version__}" in said
    assert contents(project) == before


def test_the_command_reports_as_json(project: Path) -> None:
    make_older(project, "dvc.yaml")
    found = json.loads(run(project, "bin/headstart", "upgrade", "--json").stdout)
    assert found["written"] == ["dvc.yaml"]
    assert (found["before"], found["after"], found["stages"]) == ("0.0.1", __version__, {})
    assert "nothing to do" in run(project, "bin/headstart", "upgrade").stdout


def test_an_older_package_does_not_take_a_project_back(project: Path) -> None:
    change_lock(project, lambda lock: lock.update(headstart="99.0"))
    before = contents(project)
    with pytest.raises(
        LineageError, match=r"names headstart 99\.0, and this is .* older: install headstart 99\.0"
    ):
        plan(project)
    assert contents(project) == before


def test_an_interrupted_upgrade_can_be_repeated(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(project)
    make_older(project, "dvc.yaml", "flows/scoring.py")

    def full(root: Path, lock: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lock_file, "write", full)
        with pytest.raises(OSError, match="No space"):
            apply(project, plan(project))
    found = plan(project)
    assert (found.written, found.edited) == ((), ())
    apply(project, found)
    assert contents(project) == before


def test_weights_are_not_chosen_by_an_upgrade(project: Path) -> None:
    path = project / "params.yaml"
    lines = path.read_text().splitlines(keepends=True)
    del lines[next(number for number, line in enumerate(lines) if line.startswith("  weights:"))]
    path.write_text("".join(lines))
    with pytest.raises(ParamsError, match=r"backbone\.weights is missing"):
        plan(project)


def test_a_section_that_cannot_be_filled_stops_nothing_else(project: Path) -> None:
    make_older(project, "dvc.yaml")
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("gate:")] + "gate: null\n\n" + text[text.index("monitor:") :])
    found = plan(project)
    assert "gate" in found.by_hand
    assert found.written == ("dvc.yaml",)
    assert "By hand" in _report(found, dry_run=True)
    apply(project, found)
    assert not plan(project).lock
    assert "nothing to do" not in _report(plan(project), dry_run=False)


def test_mode_and_links_of_a_users_file_stay(project: Path) -> None:
    path = project / "params.yaml"
    remove_line(project, "  patience:")
    path.rename(project / "kept.yaml")
    (project / "kept.yaml").chmod(0o660)
    path.symlink_to("kept.yaml")
    apply(project, plan(project))
    assert path.is_symlink()
    assert "patience: 15" in (project / "kept.yaml").read_text()
    assert (project / "kept.yaml").stat().st_mode & 0o777 == 0o660


def test_an_unknown_file_is_not_shown(project: Path) -> None:
    with pytest.raises(LineageError, match=r"writes no nothing\.py; it writes "):
        upgrading.text_of(project, "nothing.py")


def test_a_clone_gets_the_keys_that_a_merge_left_out(tmp_path: Path) -> None:
    """In a clone of Headstart, `git merge` brings files; params.yaml as released is in its history."""
    root = tmp_path / "clone"
    for name in ("params.yaml", "dvc.yaml", "src/headstart/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    run(root, "git", "init", "--quiet")
    commit(root)
    line = remove_line(root, "  patience:")
    commit(root)
    found = plan(root)
    assert found.keys == {"train.patience": 15}
    assert found.stages["train"] == ("new key train.patience",)
    apply(root, found)
    assert line in (root / "params.yaml").read_text()
    assert not plan(root).changes
    assert not (root / CODE_LOCK).exists()
