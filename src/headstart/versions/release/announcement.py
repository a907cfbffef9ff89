"""The description of a version that the gate has not judged yet: who is judging it, or why nobody is.

Its first line is plain: lists of versions show it with every mark of Markdown in it.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from headstart.errors import TrackingError, without_password
from headstart.versions.registry import tracking

GATE_TAG, PENDING = "gate", "pending"
LONGEST = 1000  # characters of an error
NEXT = (
    "Not judged yet. The gate is the next step of its registration. If this text is still here after a "
    "few minutes, the registration was interrupted: run `headstart register` in the project, which does the "
    "rest."
)


@contextmanager
def announced(name: str, number: str) -> Iterator[None]:
    """Show that a version is being judged while the block lasts, and the reason if it fails.

    The card of a version that was judged before stays until the next decision replaces it.
    """
    client = tracking.connect()
    with tracking.translated(f"judge {name} version {number}"):
        is_first = client.get_model_version(name, number).tags.get(GATE_TAG) == PENDING
        if is_first:
            client.update_model_version(name, number, _being_judged(name, number))
    try:
        yield
    except BaseException as error:
        with suppress(TrackingError):  # a server that went away hides no other error
            if is_first:
                _describe(name, number, _stopped(name, number, error))
        raise


def _describe(name: str, number: str, text: str) -> None:
    client = tracking.connect()
    with tracking.translated("record why the gate stopped"):
        client.update_model_version(name, number, text)


def _being_judged(name: str, number: str) -> str:
    judge = f"process {os.getpid()} on {socket.gethostname()}"
    return (
        f"Being judged by the gate since {_now()}, by {judge}.\n\n"
        "This takes a few passes over its test images, minutes as a rule; then the verdict stands here. If "
        "that process has ended, or this text is an hour old, the judging was interrupted. "
        f"{_again(name, number)}"
    )


def _stopped(name: str, number: str, error: BaseException) -> str:
    reason = without_password(f"{type(error).__name__}: {error}")[:LONGEST]
    return (
        f"Not judged. The gate stopped at {_now()} without a verdict.\n\n"
        f"```\n{reason}\n```\n\nMend what it names. {_again(name, number)}"
    )


def _again(name: str, number: str) -> str:
    return (
        "Then run `headstart register` in the project, or let the next training flow do it: both judge it "
        f"and set its aliases. `headstart gate models:/{name}/{number}` judges it too, without aliases."
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
