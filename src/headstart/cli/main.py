"""The command line: `headstart COMMAND`. Errors that a user can fix are messages, not tracebacks."""

import logging
import os
import sys

from headstart import __version__
from headstart.cli import (
    beginning,
    completion,
    containers,
    exporting,
    feedback,
    kept,
    monitoring,
    network,
    project,
    provenance,
    release,
    reviewing,
    scoring,
    services,
    serving,
    stages,
    trend,
)
from headstart.cli.commands import Commands, Grouped, Parser
from headstart.cli.doctor import command as doctor
from headstart.cli.json_output import results_alone
from headstart.errors import HeadstartError
from headstart.ground.logs import hide_passwords
from headstart.ground.refusals import explained
from headstart.host.ending import ended_by_signals


def main(arguments: list[str] | None = None) -> None:
    """Run one command; an error that the user can fix ends it with a message and exit status 1.

    A signal ends it and the processes that it started, with status 143 (SIGTERM) or 130 (SIGINT).
    """
    chosen = make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    hide_passwords()
    if not _folder_exists():
        sys.exit(f"headstart {chosen.command}: error: the working folder was removed; change to another")
    try:
        with ended_by_signals(chosen.command):
            try:
                with results_alone(getattr(chosen, "json", False)):
                    chosen.run(chosen)
            finally:
                if sys.stdout is not None:  # closed by the caller
                    sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except HeadstartError as error:
        sys.exit(f"headstart {chosen.command}: error: {error}")
    except Exception as error:
        if (said := explained(error)) is None:
            raise
        sys.exit(f"headstart {chosen.command}: error: {said}")


def _folder_exists() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return False
    return True


def make_parser() -> Parser:
    """The commands and their help."""
    parser = Parser(
        prog="headstart",
        description="Fine-tune a new head on a frozen VGG16 and carry it to production.",
        formatter_class=Grouped,
    )
    parser.add_argument("--version", action="version", version=f"headstart {__version__}")
    commands = Commands(parser)
    for group in (
        beginning,
        project,
        reviewing,
        stages,
        network,
        release,
        exporting,
        containers,
        provenance,
        scoring,
        serving,
        kept,
        monitoring,
        feedback,
        trend,
    ):
        group.add_to(commands)
    services.add_to(commands)
    completion.add_to(commands, parser)
    doctor.add_to(commands)
    commands.list_all()
    return parser
