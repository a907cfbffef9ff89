"""The alias that a server follows: a version that it names now is opened, tried, and answers from then on."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable

from headstart.errors import HeadstartError, UnreachableError
from headstart.versions.serving.http.live import Live, LiveVersion

LONGEST_WAIT = 600.0  # seconds until a version that failed is tried again
LOG = logging.getLogger("uvicorn.error")


class Follower:
    """Looks at the alias every few seconds, in a thread of its own.

    Args:
        resolve: returns the name of the version that the alias names now, such as models:/NAME/3.
        prepare: opens and tries a version by that name.
        swapped: called with "swapped" or "failed" after each change.
        seconds: between two looks.
    """

    def __init__(
        self,
        live: Live,
        resolve: Callable[[], str],
        prepare: Callable[[str], LiveVersion],
        swapped: Callable[[str], object],
        seconds: float,
    ) -> None:
        self._live, self._resolve, self._prepare = live, resolve, prepare
        self._swapped, self._seconds = swapped, seconds
        self._ending = threading.Event()
        self._failed, self._reason, self._wait, self._retry_at = "", "", seconds, 0.0
        self.problem: str | None = None

    def start(self) -> None:
        """Begin to look; the thread ends with `end`."""
        context = contextvars.copy_context()  # it knows the project whose database is asked
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="alias", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more; a version that is being opened is not waited for."""
        self._ending.set()

    def look(self) -> None:
        """Compare the alias with the version that answers, and exchange it if they differ."""
        try:
            name = self._resolve()
        except UnreachableError as error:
            self._report(f"the alias is unknown at the moment: {error}")
            return
        except HeadstartError as error:
            self._report(str(error))
            return
        is_current = name == self._live.current.name
        self.problem = self._reason if name == self._failed and not is_current else None
        if is_current:
            return
        if name != self._failed or time.monotonic() >= self._retry_at:
            self._exchange(name)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            try:
                self.look()
            except Exception as error:  # the version that answers must not stop
                LOG.exception("following the alias failed")
                self.problem = _shown(error)

    def _exchange(self, name: str) -> None:
        try:
            new = self._prepare(name)
        except Exception as error:  # whatever is wrong with it, the one before answers
            self._wait = min(LONGEST_WAIT, 2 * self._wait if name == self._failed else self._seconds)
            self._failed, self._retry_at = name, time.monotonic() + self._wait
            self._reason = f"{name} does not answer, so {self._live.current.name} does: {_shown(error)}"
            self._report(self._reason)
            LOG.warning("%s", error, exc_info=not isinstance(error, HeadstartError))
            self._swapped("failed")
            return
        before = self._live.current.name
        self._live.swap(new)
        self.problem, self._failed = None, ""
        self._swapped("swapped")
        LOG.warning("%s answers instead of %s", name, before)

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            LOG.warning("%s", problem)
        self.problem = problem


def _shown(error: Exception) -> str:
    """An error as anyone may read it at /readyz: those of libraries may hold addresses and logins."""
    return (
        str(error) if isinstance(error, HeadstartError) else f"{type(error).__name__}; the log has the reason"
    )
