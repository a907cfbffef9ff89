"""`headstart monitor`: compare new images with those of a version."""

import argparse
import sys
from pathlib import Path

from headstart.cli.commands import IMAGES, MODEL, Commands, add_json
from headstart.cli.entering import checked_params, enter_with, report
from headstart.errors import ArgumentError
from headstart.ground import paths


def add_to(commands: Commands) -> None:
    """Add monitor."""
    monitor = commands.add(
        IMAGES,
        "monitor",
        "test whether new images still look like those of a version",
        _monitor,
        about="Classes, confidence, features, brightness, size and format. Exit status 0: no drift, 3: "
        "drift, 4: too few images, 1: it could not be done.",
        example="headstart monitor incoming/ --model headstart@champion",
    )
    monitor.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="paths, patterns; default: monitor.source, else kept requests",
    )
    monitor.add_argument("--kept", action="store_true", help="requests of the last monitor.kept_days days")
    monitor.add_argument("--model", help=f"{MODEL}; default: the champion")
    add_json(monitor)
    monitor.add_argument("--html", type=Path, metavar="FILE", help="default: reports/monitoring.html")


def _monitor(chosen: argparse.Namespace) -> None:
    page_path, *given = enter_with(str(chosen.html or paths.MONITORING), *chosen.paths)
    from headstart.cli.json_output import print_result
    from headstart.versions.monitoring import run
    from headstart.versions.monitoring.images import images_of

    params = checked_params()
    if chosen.kept and given:
        raise ArgumentError("--kept compares requests that were kept; leave it or the paths out")
    images = images_of(
        given, None if chosen.kept else params.monitor.source, params.serve.place, params.monitor.kept_days
    )
    model = chosen.model or f"models:/{params.register_.model}@champion"
    found = run.monitor(
        images,
        model,
        params.monitor,
        report,
    )
    page = Path(page_path) if chosen.html else paths.MONITORING
    found.write(page)
    print_result(chosen.json, found.as_dict, lambda: f"{found.as_text()}\n\nPage: {page}")
    sys.exit({"no drift": 0, "drift": 3, "inconclusive": 4}[found.found.verdict])
