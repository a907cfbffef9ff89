"""The files that a project begins with, each kept once in this repository."""

import subprocess
import tomllib
from typing import Any

import pytest
from projects import ROOT
from ruamel.yaml import YAML

from headstart.projects import template
from headstart.repository.code_lock import MODULES

BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
PLACED = BUILD["force-include"]
IN_PACKAGE = "headstart/projects/template/"
FOLDERS = ("flows", "mlflow", "bin", ".dvc/plots")
IMAGE = ("Dockerfile", ".dockerignore", "compose.yaml")
USED = (*FOLDERS, *IMAGE, "params.yaml", "dvc.yaml", "prefect.yaml", "automations.yaml")


def stages(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return found


def test_every_file_that_this_project_uses_is_one_of_a_new_project() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--", *USED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) == set(template.SHARED)


def test_the_build_places_exactly_those_in_the_package() -> None:
    assert {path: IN_PACKAGE + path for path in (*template.SHARED, "data.dvc", "requirements.lock")} == PLACED


def test_the_stages_are_those_of_this_project_with_the_lock_in_place_of_code() -> None:
    here = stages((ROOT / "dvc.yaml").read_text())
    there = stages(template.pipeline((ROOT / "dvc.yaml").read_text()))
    for name, stage in here["stages"].items():
        stage["params"].insert(0, {"headstart.lock.yaml": [f"stages.{name}"]})
        kept = [dep for dep in stage["deps"] if not dep.startswith("src/") and dep != "requirements.lock"]
        if kept:
            stage["deps"] = kept
        else:
            del stage["deps"]
    assert there == here


def test_every_stage_has_its_entry_in_the_lock() -> None:
    assert list(stages((ROOT / "dvc.yaml").read_text())["stages"]) == list(MODULES)


def test_files_that_people_write_in_are_never_written_again() -> None:
    texts = template.files("name")
    assert set(template.KEPT) <= set(texts)
    assert not set(template.KEPT) & set(template.rewritten(texts))


def test_no_part_of_the_template_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    text_of = template.text_of
    monkeypatch.setattr(template, "text_of", lambda name: read.add(name) or text_of(name))
    for ci in ([], *([kind] for kind in template.CI)):
        template.files("name", ci)
    own = {path.relative_to(template.OWN).as_posix() for path in template.OWN.rglob("*") if path.is_file()}
    assert {name for name in own if "__pycache__" not in name} <= read
