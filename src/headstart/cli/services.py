"""`headstart services`: the servers and workers of this machine."""

import argparse
import sys

from headstart.cli.commands import MACHINE, Commands, add_json
from headstart.cli.json_output import print_result
from headstart.host.project import enter_tree


def add_to(commands: Commands) -> None:
    """Add services."""
    services = commands.add(
        MACHINE,
        "services",
        "start, stop or look at Prefect and MLflow servers and workers on this machine",
        _services,
        about="Exit status of `status`: 0 if all are healthy, 3 if one is not.",
        example="headstart services start --gpu cpu",
    )
    services.add_argument("action", choices=("start", "stop", "status"))
    add_json(services)
    services.add_argument(
        "--gpu",
        choices=("auto", "cpu", "none"),
        default="auto",
        help="workers for features and train: auto: one per GPU; cpu: one without a GPU, to try it",
    )
    services.add_argument("--prefect-port", type=int, default=4200, help="default: 4200")
    services.add_argument("--mlflow-port", type=int, default=5000, help="default: 5000")
    services.add_argument("--guard-port", type=int, default=4300, help="default: 4300")


def _services(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.orchestration import services
    from headstart.orchestration.service_status import overview

    if chosen.action == "start":
        said = services.start(chosen.gpu, chosen.prefect_port, chosen.mlflow_port, chosen.guard_port)
        print_result(chosen.json, lambda: overview().as_dict(), lambda: said)
    elif chosen.action == "stop":
        stopped = services.stop()
        said = f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"
        print_result(chosen.json, lambda: {"stopped": stopped}, lambda: said)
    else:
        found = overview()
        print_result(chosen.json, found.as_dict, found.as_text)
        sys.exit(0 if found.are_healthy else 3)
