"""Projects that several test files need: made once per run of the tests, then copied.

The test processes of one run share a folder, which `conftest.py` names in the environment; without it, as in
a benchmark, a project is made where it is needed.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock
from projects import GIT, draw_images, edit_params, headstart, make_repository, make_tree, repro, run

from headstart.versions.registry.relocation import follow_project

FOLDER = "HEADSTART_TEST_TEMPLATES"
OWN = {"HEADSTART_CACHE": "store", "DVC_SITE_CACHE_DIR": "dvc"}


def make_trained(root: Path, linked: bool = True) -> None:
    """Make a project of two classes, `dark` and `light`, whose stages have run; with its warm store.

    Args:
        linked: its code is this project's; else a copy, to be edited.
    """
    _make("trained" if linked else "copied", root, partial(_train, linked))


def make_registered(root: Path) -> None:
    """Make the same project with a registered champion, whatever it is worth."""
    _make("registered", root, _register)


def _train(linked: bool, root: Path) -> None:
    make_tree(root, linked)
    draw_images(root / "data", {"dark": 24, "light": 24})
    make_repository(root)
    repro(root)


def _register(root: Path) -> None:
    make_trained(root)
    edit_params(root, **{"register.thresholds.accuracy": 0.0, "register.thresholds.balanced_accuracy": 0.0})
    _amend(root, "params.yaml")
    headstart(root, "register")


def _make(name: str, root: Path, make: Callable[[Path], None]) -> None:
    if FOLDER not in os.environ:
        make(root)
        return
    template = Path(os.environ[FOLDER]) / name / "project"
    made = template.with_name("made")
    with FileLock(f"{template.parent}.lock"):
        if not made.exists():
            shutil.rmtree(template.parent, ignore_errors=True)
            template.parent.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                for setting, folder in OWN.items():
                    patch.setenv(setting, str(template.with_name(folder)))
                make(template)
            made.touch()
    _copy(template, root)


def _copy(template: Path, root: Path) -> None:
    """Copy a project with its DVC remote, its store and what MLflow has of it."""
    shutil.copytree(template, root, symlinks=True)
    store = template.with_name(OWN["HEADSTART_CACHE"])
    shutil.copytree(store, os.environ["HEADSTART_CACHE"], dirs_exist_ok=True)
    remote = template.with_name(f"{template.name}-remote")
    if remote.exists():
        shutil.copytree(remote, root.with_name(f"{root.name}-remote"))
    config = root / ".dvc/config"
    config.write_text(config.read_text().replace(f"{template}-remote", f"{root}-remote"))
    _amend(root, ".dvc/config")
    if (database := root / "mlflow/mlflow.db").exists():
        follow_project(database, root / "mlflow/artifacts")


def _amend(root: Path, path: str) -> None:
    run(root, *GIT, "commit", "--quiet", "--amend", "--no-edit", "--", path)
