"""Commands to look at the data and to mend it."""

import argparse

from headstart.cli.commands import PROJECT, Commands, add_json
from headstart.cli.entering import checked_params, enter_with
from headstart.errors import HeadstartError

FIXES = "fixes.csv"


def add_to(commands: Commands) -> None:
    """Add review and fix."""
    review = commands.add(
        PROJECT,
        "review",
        "go through what inspect found, picture by picture, in the browser",
        _review,
        about="Each decision is written at once to a table that you can also edit by hand.",
        example="headstart review",
    )
    review.add_argument("--fixes", default=FIXES, metavar="FILE", help=f"default: {FIXES}")
    review.add_argument("--port", type=int, default=5002, help="on loopback; default: 5002")
    add_json(review)
    fix = commands.add(
        PROJECT,
        "fix",
        "mend the data as decided: remove to quarantine/, relabel, and version the result",
        _fix,
        about="Nothing is deleted, and --undo takes the last fix back.",
        example="headstart fix fixes.csv",
    )
    fix.add_argument("fixes", nargs="?", metavar="FILE", help=f"default: {FIXES}")
    fix.add_argument("--undo", action="store_true", help="take the last fix back")
    add_json(fix)


def _review(chosen: argparse.Namespace) -> None:
    [fixes] = enter_with(chosen.fixes)
    from pathlib import Path

    from headstart.cli.json_output import print_result
    from headstart.review.app import serve

    def announce(findings: int, address: str) -> None:
        print_result(
            chosen.json,
            lambda: {"findings": findings, "address": address, "fixes": fixes},
            lambda: f"{findings} findings on {address}, decisions in {fixes}; Ctrl+C ends it",
        )

    serve(Path(fixes), chosen.port, announce)


def _fix(chosen: argparse.Namespace) -> None:
    if chosen.undo and chosen.fixes:
        raise HeadstartError("--undo takes the last fix back, whatever table it was: leave the table out")
    [fixes] = enter_with(chosen.fixes or FIXES)
    from datetime import UTC, datetime
    from pathlib import Path

    from headstart.cli.json_output import print_result
    from headstart.review import fixing
    from headstart.review.fixes import read_fixes

    if chosen.undo:
        said = fixing.undo()
        print_result(chosen.json, lambda: {"undone": said}, lambda: "\n".join(said))
        return
    fixed = fixing.fix(read_fixes(Path(fixes)), checked_params().data, datetime.now(UTC))
    print_result(chosen.json, fixed.as_dict, lambda: "\n".join(fixed.sentences()))
