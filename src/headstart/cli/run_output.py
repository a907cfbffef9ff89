"""`headstart run --json`: the result of the training flow as one document."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headstart.cli.json_output import print_json, results_alone
from headstart.orchestration.command import run_as_command
from headstart.pipeline.evaluation.figures import read_headline


def run_with_output(run: Callable[[], object], arguments: Sequence[str]) -> None:
    """Run the training flow as a command; with `--json`, only its result is on standard output.

    Args:
        run: runs the flow with `return_state=True`; the state's data is that of `outcome.state_of`.
        arguments: of the command line.
    """
    in_json = "--json" in arguments
    with results_alone(in_json):
        run_as_command(run, _print if in_json else None)


def _print(result: Mapping[str, Any], status: int) -> None:
    print_json({**result, "metrics": read_headline(), "exit_status": status})
