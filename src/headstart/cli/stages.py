"""One command per stage of dvc.yaml."""

import argparse
import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from headstart.cli.commands import STAGES as GROUP
from headstart.cli.commands import Commands
from headstart.cli.entering import buildable_params, report_defaults
from headstart.ground import paths
from headstart.host.owner import end_with_owner
from headstart.host.project import enter_tree

if TYPE_CHECKING:
    from headstart.params import Params


@dataclass(frozen=True)
class Stage:
    """A stage as a command: its module's `run` gets those sections of params.yaml that its arguments name.

    Attributes:
        computes: whether the stage uses the accelerators; it then holds them until it ends.
    """

    name: str
    help: str
    computes: bool = False

    def __call__(self, chosen: argparse.Namespace) -> None:
        enter_tree()
        from headstart.repository import code_lock

        code_lock.check([self.name])
        end_with_owner()
        params = buildable_params()
        _check_limits(self.name, params)
        if self.computes:
            from headstart.ground import runtime
            from headstart.host import exclusive

            exclusive.hold(runtime.accelerators(), lambda text: print(f"{self.name}: {text}", flush=True))
        run = import_module(code_lock.MODULES[self.name]).run
        report_defaults(params, inspect.signature(run).parameters)
        sections = {name: params.section(name) for name in inspect.signature(run).parameters}
        print(f"{self.name}: {run(**sections)}", flush=True)


def _check_limits(stage: str, params: "Params") -> None:
    """Before the stages that decode every image, check the settings that later stages would refuse."""
    from headstart.cli import limits

    if stage == "validate":
        limits.check_folder(params, paths.DATA)
    elif stage == "preprocess":
        limits.check_manifest(params)


STAGES = (
    Stage("backbone", "write the frozen network's weights, with source and digest"),
    Stage("validate", "check every image file, leave bad ones out, assign the splits"),
    Stage("preprocess", "resize and crop every image, packed in one array"),
    Stage("features", "run the frozen part of the network once per image", True),
    Stage("inspect", "list pictures that look wrong, and labels that the features contradict"),
    Stage("train", "train the head on the stored features", True),
    Stage("evaluate", "measure the head on the test split and write the report", True),
)


def add_to(commands: Commands) -> None:
    """Add the stages, in the order they run."""
    for stage in STAGES:
        about = f"A stage of dvc.yaml: `dvc repro {stage.name}` runs it and those before it, if out of date."
        commands.add(GROUP, stage.name, stage.help, stage, about=about)
