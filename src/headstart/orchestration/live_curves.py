"""The epochs of a long training, logged to the MLflow run of its flow while the training lasts."""

import time
from collections.abc import Mapping
from threading import Thread
from typing import Any, Protocol

from prefect import get_run_logger

AFTER_SECONDS = 60.0  # the curves of a shorter training come with its registration
EVERY_SECONDS = 5.0
FINISH_SECONDS = 10.0
AGAIN_SECONDS = 60.0  # if MLflow did not answer
EPOCH, SWEEP = "epoch", "sweep"


class Run(Protocol):
    """An MLflow run; its id is None while MLflow is unreachable."""

    @property
    def id(self) -> str | None: ...


class LiveCurves:
    """Collects epochs, and logs them once the training has lasted a minute.

    A thread of its own sends them, since a server that is slow to answer must not hold up the training.

    Registration logs the epochs that are missing at the end. Those of a sweep are the leading trial's, a
    curve of their own: the model has the history of the trial that wins.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: list[dict[str, float]] = []
        self._sender: Thread | None = None
        self._logger = get_run_logger()  # found by the flow's thread alone
        self._section = EPOCH
        self._epochs = 0
        self._next = time.monotonic() + AFTER_SECONDS

    def add(self, values: Mapping[str, Any]) -> None:
        """Take an epoch as stage train reports it; an unreachable server does not stop the training."""
        row = dict(values)
        self._epochs += 1
        if row.pop("trials", 0):
            self._section, row[EPOCH] = SWEEP, self._epochs  # groups of trials each begin with epoch 1
        self._waiting.append(row)
        if time.monotonic() >= self._next and not (self._sender is not None and self._sender.is_alive()):
            self._next = time.monotonic() + EVERY_SECONDS
            self._sender = Thread(target=self._log, args=(list(self._waiting), self._section), daemon=True)
            self._sender.start()

    def finish(self) -> None:
        """Wait a moment for epochs that are on their way, so that registration finds them."""
        if self._sender is not None:
            self._sender.join(FINISH_SECONDS)

    def _log(self, rows: list[dict[str, float]], section: str) -> None:
        try:
            from headstart.versions.release import run_metrics

            if (run_id := self._run.id) is None:  # which was logged
                self._next = time.monotonic() + AGAIN_SECONDS
                return
            run_metrics.log_live(run_id, rows, section)
            del self._waiting[: len(rows)]
        except Exception as error:  # whatever it is, the training must go its way
            self._next = time.monotonic() + AGAIN_SECONDS
            self._logger.warning("cannot show the epochs in MLflow at the moment: %s", error)
