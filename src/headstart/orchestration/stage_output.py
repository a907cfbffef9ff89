"""A stage's output in its flow run: lines go to the log, progress bars become a progress artifact."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from headstart.progress import EPOCH_MARK

SHARE = re.compile(r"(\d+)%\|")
DVC_CHATTER = (
    "git add dvc.lock",
    "To track the changes with git",
    "auto staging",
    "core.autostage",
    "`dvc push`",
    "> bin/headstart ",
    "Generating lock file",
    "Updating lock file",
    "didn't change, skipping",
    "Data and pipelines are up to date",
    "params.yaml lacks ",  # the flow itself warns of every key
)


class StageOutput:
    """Handles each line and each state of a progress bar.

    The stage's last sentence is held back: it becomes the message of the task's state, which Prefect logs.

    Args:
        on_epoch: called with each epoch that stage train reports.
    """

    def __init__(self, stage: str, on_epoch: Callable[[dict[str, Any]], object] | None = None) -> None:
        self.lines: list[str] = []
        self._on_epoch = on_epoch
        self._stage = stage
        self._sentence: str | None = None
        self._progress = StageProgress(stage)

    def on_line(self, line: str) -> None:
        if line.startswith(EPOCH_MARK):
            if self._on_epoch is not None:
                with suppress(ValueError):  # of a line that was cut off
                    self._on_epoch(json.loads(line.removeprefix(EPOCH_MARK)))
            return
        if SHARE.search(line):  # a bar's last state
            self._progress.show(line)
            return
        self._progress.end_line()
        self.lines.append(line)
        if any(text in line for text in DVC_CHATTER):
            return
        self._log_sentence()
        if line.startswith(f"{self._stage}: "):
            self._sentence = line
        else:
            get_run_logger().info("%s", line)

    def _log_sentence(self) -> None:
        if self._sentence is not None:
            get_run_logger().info("%s", self._sentence)
        self._sentence = None

    def on_progress(self, text: str) -> None:
        self._progress.show(text)

    def finish(self) -> str | None:
        """Handle the successful end of the stage.

        Returns:
            The stage's own last sentence; None if it did not run.
        """
        self._progress.finish()
        return self._sentence


class StageProgress:
    """A stage's progress bar, on this terminal and as a progress artifact."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._artifact: Any = None
        self._share = -5.0
        self._line_is_open = False

    def show(self, text: str) -> None:
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
        self._line_is_open = True
        found = SHARE.search(text)
        if found is None:
            return
        share = float(found[1])
        if share >= self._share + 5:
            self._share = share
            self._tell(share)

    def end_line(self) -> None:
        """Leave the bar as it is and print what follows below it."""
        if self._line_is_open:
            print(file=sys.stderr, flush=True)
        self._line_is_open = False

    def finish(self) -> None:
        self.end_line()
        if self._artifact is not None:
            self._tell(100.0)

    def _tell(self, share: float) -> None:
        """Show the share on the run's page; a server that is briefly away does not stop the stage."""
        try:
            if self._artifact is None:
                self._artifact = create_progress_artifact(share, description=self._stage)
            else:
                update_progress_artifact(self._artifact, share)
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            self.end_line()
            get_run_logger().warning("cannot show progress on the run's page at the moment: %r", error)
