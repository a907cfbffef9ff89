"""Run a flow as a command: our own errors end in a message, all others keep their traceback."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun

from headstart.errors import HeadstartError, UnreachableError
from headstart.ground.logs import hide_passwords
from headstart.ground.refusals import explained
from headstart.host.ending import ended_by_signals

STATUS = {"Inconclusive": 3, "Rejected": 4}  # of a training whose version did not pass, as `headstart gate`
Show = Callable[[Any, int], object]
LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def run_as_command(run: Callable[[], object], show: Show | None = None) -> None:
    """Run a flow; if it raises one of our errors, print the error and advice last, and exit with 1.

    A training whose version did not pass ends with the status that `headstart gate` has for the verdict.
    SIGTERM and SIGINT end the flow and its stage, in one line.

    Args:
        run: runs the flow with `return_state=True`.
        show: called with the result of a flow that did not fail, and the exit status.
    """
    quieten()
    try:
        with ended_by_signals("run"):
            ended = run()
            if isinstance(ended, State):
                _exit_as(ended, show)
    except HeadstartError as error:
        print(f"\nheadstart run: error: {error}\n{advice(error)}", file=sys.stderr, flush=True)
        sys.exit(1)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if (said := explained(error)) is None:
            raise
        sys.exit(f"\nheadstart run: error: {said}")


def _exit_as(ended: State[Any], show: Show | None) -> None:
    """Raise the flow's error, or show its result and exit with the status of its verdict."""
    status = STATUS.get(str(ended.name), 0) if ended.is_cancelled() else 0
    result = ended.result(raise_on_failure=status == 0)
    if show is not None:
        show(result, status)
    if status:
        sys.exit(status)


def advice(error: Exception) -> str:
    """A sentence that advises what to do after an error."""
    if _is_a(UnreachableError, error):
        return "This may be temporary. Once it answers, run again: finished stages are not repeated."
    if _is_a(HeadstartError, error):
        return "Correct what the message names, then run again: finished stages are not repeated."
    return "This is not an error that Headstart expects: the Logs tab shows where it came from."


def _is_a(kind: type[Exception], error: BaseException) -> bool:
    """Compare by name: once a worker has updated its clone, an error is of the newer code's class."""
    return any(base.__name__ == kind.__name__ for base in type(error).__mro__)


def quieten() -> None:
    """Log our own errors without tracebacks: their messages say what to do. No log shows a password."""
    hide_passwords()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, CancelledRun):  # the engine logs as unexpected that a flow returned such a state
        return False
    if error is not None and _is_a(HeadstartError, error):
        if "Retry" not in record.getMessage():  # the state that follows has the message
            return False
        record.exc_info, record.exc_text = None, None
    return True
