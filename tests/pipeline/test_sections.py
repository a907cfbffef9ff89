"""Each stage takes exactly those sections of params.yaml that dvc.yaml lists for it."""

import inspect
from importlib import import_module

import pytest
from projects import ROOT
from ruamel.yaml import YAML

from headstart.cli import stages
from headstart.params import Params
from headstart.repository.code_lock import MODULES

SECTIONS = {field.alias or name: field.annotation for name, field in Params.model_fields.items()}
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
RUNS = {stage.name: import_module(MODULES[stage.name]).run for stage in stages.STAGES}


def test_every_stage_is_a_command() -> None:
    assert list(STAGES) == [stage.name for stage in stages.STAGES]
    assert {name: stage["cmd"] for name, stage in STAGES.items()} == {
        name: f"bin/headstart {name}" for name in STAGES
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_takes_sections_and_nothing_else(stage: str) -> None:
    for name, parameter in inspect.signature(RUNS[stage], eval_str=True).parameters.items():
        assert parameter.annotation is SECTIONS[name]
        assert parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_lists_the_sections_that_a_stage_takes(stage: str) -> None:
    taken = set(inspect.signature(RUNS[stage]).parameters)
    listed = [str(key).split(".") for key in STAGES[stage]["params"]]
    assert {section for section, *_ in listed} == taken
    for section, *keys in listed:
        assert all(key in SECTIONS[section].model_fields for key in keys)
