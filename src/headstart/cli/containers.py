"""`headstart package`: a version as the folder of a container image."""

import argparse
from pathlib import Path

from headstart.cli.commands import MODEL, VERSIONS, Commands, add_json
from headstart.cli.entering import enter_any


def add_to(commands: Commands) -> None:
    """Add package."""
    package = commands.add(
        VERSIONS,
        "package",
        "write a version and its server as the folder of a container image",
        _package,
        about="`docker build DIR` makes the image, which answers without a network and not as root.",
        example="headstart package headstart@champion image/",
    )
    package.add_argument("model", metavar="MODEL", help=f"{MODEL}, or runs:/RUN/model")
    package.add_argument("out", metavar="DIR", help="the folder, which must not exist")
    add_json(package)


def _package(chosen: argparse.Namespace) -> None:
    root, [out] = enter_any(chosen.out)
    from headstart.cli.json_output import print_result
    from headstart.containers.image_folder import package
    from headstart.versions.registry import tracking

    with tracking.in_project(root):
        made = package(chosen.model, Path(out))
    print_result(chosen.json, made.as_dict, made.sentence)
