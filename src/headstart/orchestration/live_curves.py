"""The epochs of a long training, logged to the MLflow run of its flow while the training lasts."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from prefect import get_run_logger

from headstart.errors import TrackingError

AFTER_SECONDS = 60.0  # the curves of a shorter training come with its registration
EVERY_SECONDS = 5.0
AGAIN_SECONDS = 60.0  # if MLflow did not answer
EPOCH, SWEEP = "epoch", "sweep"


class Run(Protocol):
    """An MLflow run; its id is None while MLflow is unreachable."""

    @property
    def id(self) -> str | None: ...


class LiveCurves:
    """Collects epochs, and logs them once the training has lasted a minute.

    Registration logs the epochs that are missing at the end. Those of a sweep are the leading trial's, a
    curve of their own: the model has the history of the trial that wins.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: list[dict[str, float]] = []
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
        if time.monotonic() >= self._next:
            self._log()

    def _log(self) -> None:
        from headstart.versions.release import run_metrics

        self._next = time.monotonic() + EVERY_SECONDS
        try:
            if (run_id := self._run.id) is None:  # which was logged
                self._next = time.monotonic() + AGAIN_SECONDS
                return
            run_metrics.log_live(run_id, self._waiting, self._section)
            self._waiting.clear()
        except TrackingError as error:
            self._next = time.monotonic() + AGAIN_SECONDS
            get_run_logger().warning("cannot show the epochs in MLflow at the moment: %s", error)
