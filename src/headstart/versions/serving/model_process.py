"""A stored model in a process of its own, since one process can only import one version's code."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from headstart.errors import TrackingError
from headstart.ground.paths import PACKAGE
from headstart.pipeline.data.reading import NOT_UTF8, is_utf8
from headstart.versions.registry import tracking
from headstart.versions.registry.stored_model import StoredModel
from headstart.versions.serving.path_access import EVERYTHING, SETTING
from headstart.versions.serving.signature import BATCH

ERROR_CHARACTERS = 2000


class Answer(NamedTuple):
    """A model's answer for one image; without a label, `error` gives the reason."""

    label: str | None
    probabilities: dict[str, float] | None
    error: str | None


class ModelProcess:
    """Context manager that runs a model in a process, which ends with the context or with this process.

    Args:
        model: the model's files; they are needed until the context ends.
        batch: images per forward pass.
        cache: folder for fetched frozen tensors; this machine's cache by default.

    Raises:
        TrackingError: the model does not load, or fails for a reason other than an unreadable image.
    """

    def __init__(self, model: StoredModel, batch: int = BATCH, cache: Path | None = None) -> None:
        self._model = model
        self.batch = batch
        self._own = {} if cache is None else {"HEADSTART_CACHE": str(cache)}

    def __enter__(self) -> "ModelProcess":
        script = str(Path(__file__).with_name("answering.py"))
        settings = {"MLFLOW_TRACKING_URI": tracking.tracking_uri(), SETTING: EVERYTHING, **self._own}
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-P", script, str(self._model.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **settings},
            text=True,
            encoding="utf-8",
        )
        try:
            if Path(self._read()["code"]).resolve() == PACKAGE:
                raise TrackingError(
                    f"{self._model.name} ran the code of this tree, not the code packed with it"
                )
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, paths: Sequence[str]) -> list[Answer]:
        """One answer per path or URL, in the order given.

        A path that is not UTF-8 is an error without being asked: the model's table of paths cannot hold it.
        """
        asked = [path for path in paths if is_utf8(path)]
        if not asked:
            return [Answer(None, None, NOT_UTF8)] * len(paths)
        request = json.dumps({"paths": asked, "batch": self.batch})
        assert self._process.stdin is not None
        try:
            print(request, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure("ended") from None
        rows = iter(self._read()["rows"])
        return [Answer(*next(rows)) if is_utf8(path) else Answer(None, None, NOT_UTF8) for path in paths]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure("ended")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise self._failure(answer["failed"])
        return answer

    def _failure(self, what: str) -> TrackingError:
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip()[-ERROR_CHARACTERS:]
        return TrackingError(f"the model {self._model.name} does not answer: {what}\n{said}".strip())

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
