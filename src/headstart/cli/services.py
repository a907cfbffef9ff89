"""Commands for this machine: servers and workers, and shell completion."""

import argparse

from headstart.cli.commands import MACHINE, Commands, Parser
from headstart.host.project import enter_tree

SHELLS = ("bash", "zsh", "tcsh")


def add_to(commands: Commands, parser: Parser) -> None:
    """Add services and completion."""
    services = commands.add(
        MACHINE,
        "services",
        "start or stop Prefect and MLflow servers and workers on this machine",
        _services,
        example="headstart services start --gpu cpu",
    )
    services.add_argument("action", choices=("start", "stop"))
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

    if chosen.action == "stop":
        print(services.stop())
    else:
        print(services.start(chosen.gpu, chosen.prefect_port, chosen.mlflow_port, chosen.guard_port))
