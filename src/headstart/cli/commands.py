"""The parser for all commands, with help by group and a suggestion for a mistyped command."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Generator
from typing import Any, NoReturn

GROUPS = (
    "A project",
    "Stages (dvc repro runs these)",
    "The network",
    "Versions in MLflow",
    "Where versions come from",
    "New images",
    "This machine",
)
PROJECT, STAGES, NETWORK, VERSIONS, ORIGIN, IMAGES, MACHINE = GROUPS
MODEL = "models:/NAME/VERSION or models:/NAME@ALIAS"

Run = Callable[[argparse.Namespace], object]


class Parser(argparse.ArgumentParser):
    """A parser that suggests the command that was probably meant."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if wrong is None:
            super().error(message)
        close = difflib.get_close_matches(wrong[1], self.commands(), n=1)
        meant = f"; did you mean {close[0]}?" if close else "; `headstart --help` lists the commands"
        print(f"headstart: error: there is no command {wrong[1]!r}{meant}", file=sys.stderr)
        sys.exit(2)

    def commands(self) -> list[str]:
        """Names of the commands."""
        return [
            name
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name in action.choices
        ]


class Commands:
    """Adds commands to a parser, each under the heading of its group."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._adding = parser.add_subparsers(
            dest="command", metavar="COMMAND", required=True, parser_class=Parser
        )
        self._listed: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}

    def add(
        self, group: str, name: str, summary: str, run: Run, *, about: str = "", example: str = ""
    ) -> argparse.ArgumentParser:
        """Add a command.

        Args:
            summary: the command's line in `headstart --help`.
            about: further text for the command's own help.
            example: shown at the end of the command's own help.
        """
        self._listed[group].append((name, summary))
        added: argparse.ArgumentParser = self._adding.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}. {about}".strip(),
            epilog=f"example:\n  {example}" if example else None,
            formatter_class=argparse.RawDescriptionHelpFormatter if len(about) == 0 else _Wrapped,
        )
        added.set_defaults(run=run)
        return added

    def list_all(self) -> None:
        """List all commands, by group, below the parser's help."""
        lines = []
        for group, commands in self._listed.items():
            lines += [f"{group}:", *(f"  {name:<12} {summary}" for name, summary in commands), ""]
        lines.append("`headstart COMMAND --help` has the options of a command.")
        self._parser.epilog = "\n".join(lines)


class Grouped(argparse.RawDescriptionHelpFormatter):
    """Leaves the commands to the list by group: shtab completes only those that argparse would list too."""

    def _iter_indented_subactions(self, action: argparse.Action) -> Generator[argparse.Action]:
        yield from ()


class _Wrapped(argparse.RawDescriptionHelpFormatter):
    """Wraps the description but leaves the example as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def add_json(parser: Any, what: str = "as JSON, on standard output") -> None:
    """Add the option that every command with a report has."""
    parser.add_argument("--json", action="store_true", help=what)
