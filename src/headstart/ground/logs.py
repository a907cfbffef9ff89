"""Logs and tracebacks of this process, without passwords: a server may keep them for years."""

import logging
import sys
import traceback
from types import TracebackType

from headstart.errors import without_password


def hide_passwords() -> None:
    """Take passwords out of addresses in every record logged from now on, and in the last traceback."""
    if not isinstance(logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records())
        sys.excepthook = _print_error


class _Records:
    """Makes records as before, with the text of message and traceback already rendered if it changes."""

    def __init__(self) -> None:
        self._make = logging.getLogRecordFactory()

    def __call__(self, *given: object, **named: object) -> logging.LogRecord:
        record = self._make(*given, **named)
        try:
            said = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: logging reports it
            return record
        if (shown := without_password(said)) != said:
            record.msg, record.args = shown, None
        if record.exc_info and record.exc_info[0] is not None:
            said = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (shown := without_password(said)) != said:
                record.exc_text = shown
        return record


def _print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    lines = traceback.format_exception(kind, error, trace)
    print(without_password("".join(lines)), end="", file=sys.stderr)
