"""`headstart completion`: a script that lets the shell complete commands, options and files."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from headstart.cli.commands import MACHINE, Commands, Parser

SHELLS = ("bash", "zsh", "tcsh")
FILES = ("FILE", "PATH", "IMAGE", "IN", "OUT")  # what the help calls arguments that name files or folders


def add_to(commands: Commands, parser: Parser) -> None:
    """Add completion."""
    completion = commands.add(
        MACHINE,
        "completion",
        "print a script that lets the shell complete commands and options",
        lambda chosen: print(script(parser, chosen.shell)),
        example='eval "$(headstart completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS)


def script(parser: Parser, shell: str) -> str:
    """The script for one of SHELLS."""
    import shtab

    for argument in _arguments(parser):
        if argument.type is Path or argument.metavar in FILES:
            argument.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _arguments(command)
