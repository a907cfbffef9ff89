"""End on request: SIGTERM and SIGINT end a command and what it started, in one line."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}  # as shells report a command that a signal ended


class Terminated(BaseException):
    """SIGTERM arrived; no handler of errors may swallow it."""


@contextmanager
def ended_by_signals(command: str) -> Iterator[None]:
    """Context manager that turns SIGTERM into an exception, as Python does with SIGINT.

    So both leave through every `finally` and context manager, which end child processes. Then one line is
    printed, and the process exits with 143 or 130.
    """
    before = None
    if is_main := threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    except Terminated:
        _end(command, signal.SIGTERM)
    except KeyboardInterrupt:
        _end(command, signal.SIGINT)
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


def _raise(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the ending
    raise Terminated


def _end(command: str, sign: signal.Signals) -> None:
    print(f"\nheadstart {command}: ended by {sign.name}", file=sys.stderr, flush=True)
    sys.exit(STATUS[sign])
