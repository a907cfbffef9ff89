"""Commands for this machine: servers and workers, and shell completion."""

import argparse
import sys
from typing import NoReturn

from headstart.cli.commands import MACHINE, Commands, Parser, add_json
from headstart.errors import HeadstartError
from headstart.host.project import enter_tree

SHELLS = ("bash", "zsh", "tcsh")


def add_to(commands: Commands, parser: Parser) -> None:
    """Add services and completion."""
    services = commands.add(
        MACHINE,
        "services",
        "start, stop or look at Prefect and MLflow servers and workers on this machine",
        _services,
        about="Exit status of `status`: 0 if all are healthy, 3 if one is not.",
        example="headstart services start --gpu cpu",
    )
    services.add_argument("action", choices=("start", "stop", "status"))
    add_json(services, "the status as JSON, on standard output")
    services.add_argument(
        "--gpu",
        choices=("auto", "cpu", "none"),
        default="auto",
        help="workers for features and train: auto: one per GPU; cpu: one without a GPU, to try it",
    )
    services.add_argument("--prefect-port", type=int, default=4200, help="default: 4200")
    services.add_argument("--mlflow-port", type=int, default=5000, help="default: 5000")
    services.add_argument("--guard-port", type=int, default=4300, help="default: 4300")
    completion = commands.add(
        MACHINE,
        "completion",
        "print a script that lets the shell complete commands and options",
        lambda chosen: _completion(parser, chosen.shell),
        example='eval "$(headstart completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS)


def _completion(parser: Parser, shell: str) -> None:
    import shtab

    print(shtab.complete(parser, shell))


def _services(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.orchestration import services

    if chosen.action == "status":
        _status(chosen.json)
    if chosen.json:
        raise HeadstartError("--json: only `headstart services status` prints a report")
    if chosen.action == "stop":
        print(services.stop())
    else:
        print(services.start(chosen.gpu, chosen.prefect_port, chosen.mlflow_port, chosen.guard_port))


def _status(in_json: bool) -> NoReturn:
    from headstart.cli.json_output import print_result
    from headstart.orchestration.service_status import overview

    found = overview()
    print_result(in_json, found.as_dict, found.as_text)
    sys.exit(0 if found.are_healthy else 3)
