"""A stored model in a process of its own: one process can only import one version's code.

That code is none of this tree's. It is run only if the project has it (`packaged_code.py`), in an environment
without credentials: the frozen tensors and images behind URLs are fetched here, and handed over as files.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from headstart.errors import DataError, TrackingError
from headstart.ground.paths import PACKAGE
from headstart.host.plain_environment import without_credentials
from headstart.pipeline.data.reading import NOT_UTF8, is_utf8
from headstart.versions.registry.stored_model import StoredModel
from headstart.versions.serving.packaged_code import check_code
from headstart.versions.serving.path_access import EVERYTHING, SETTING, PathAccess, is_remote
from headstart.versions.serving.signature import BATCH

ERROR_CHARACTERS = 2000
FETCHED_AT_ONCE = 8


class Answer(NamedTuple):
    """A model's answer for one image; without a label, `error` gives the reason.

    An image that the model refuses has probabilities, one that it cannot read has none.
    """

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
        TrackingError: the model holds code that this project does not have, does not load, or fails for a
            reason other than an unreadable image.
    """

    def __init__(self, model: StoredModel, batch: int = BATCH, cache: Path | None = None) -> None:
        self._model = model
        self.batch = batch
        self._cache = cache

    def __enter__(self) -> "ModelProcess":
        check_code(self._model)
        self._model.backbone(self._cache)  # the process has no access to the server
        script = str(Path(__file__).with_name("answering.py"))
        cache = {} if self._cache is None else {"HEADSTART_CACHE": str(self._cache)}
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-P", script, str(self._model.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**without_credentials(os.environ), SETTING: EVERYTHING, **cache},
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
        with _as_files(paths) as files:
            readable = [file for file in files if isinstance(file, str)]
            rows = iter(self._ask(readable) if readable else [])
            return [
                Answer(None, None, str(file)) if isinstance(file, DataError) else next(rows) for file in files
            ]

    def _ask(self, paths: Sequence[str]) -> list[Answer]:
        request = json.dumps({"paths": list(paths), "batch": self.batch})
        assert self._process.stdin is not None
        try:
            print(request, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure("ended") from None
        return [Answer(*row) for row in self._read()["rows"]]

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


@contextmanager
def _as_files(paths: Sequence[str]) -> Iterator[list[str | DataError]]:
    """Files of this machine for paths and URLs, or the error that prevents one; fetched files are removed."""
    if not any(map(is_remote, paths)):
        yield [path if is_utf8(path) else DataError(NOT_UTF8) for path in paths]
        return
    access = PathAccess(EVERYTHING)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:

        def fetch(numbered: tuple[int, str]) -> str | DataError:
            number, path = numbered
            if not is_utf8(path):
                return DataError(NOT_UTF8)
            if not is_remote(path):
                return path
            file = Path(folder) / str(number)
            try:
                file.write_bytes(access.read(path))
            except DataError as error:
                return error
            return str(file)

        yield list(pool.map(fetch, enumerate(paths)))
