"""The model that MLflow stores as code and serves: images in, label and probabilities out."""

import base64
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, REQUEST_LIMIT_EXCEEDED
from mlflow.pyfunc.model import PythonModel


class ServedModel(PythonModel):
    """One row per image: a column `image` holds image files as bytes or Base64, or `path` names them.

    Attributes:
        given_up: returns the event that is set once nobody waits for the request of this thread; a server
            sets it. The event is looked at before each image is read and before each forward pass.
        room: returns what is held while an item is read and decoded, as in `score_items`; a server sets it.
    """

    given_up: Callable[[], threading.Event] = staticmethod(threading.Event)
    room: Callable[[Any], AbstractContextManager[object]] = staticmethod(lambda _: nullcontext())
    predictor: Any  # a Predictor, or another `scoring.Model` that words its refusals

    def load_context(self, context: Any) -> None:
        from headstart.versions.registry.frozen import fetch_frozen
        from headstart.versions.serving.answers import version_of
        from headstart.versions.serving.path_access import PathAccess
        from headstart.versions.serving.predictor import Predictor

        files = context.artifacts
        backbone = Path(files["backbone"]) if "backbone" in files else fetch_frozen(Path(files["frozen"]))
        self.predictor = Predictor.load(Path(files["head"]), backbone)
        self.version = version_of(Path(files["head"]), self.predictor.metadata["digest"])
        self.access = PathAccess.from_environment()

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row per image, in order; without a label, `error` gives the reason.

        An unreadable image has neither label nor probabilities; one that is refused has probabilities.

        Args:
            params: `batch`: images per forward pass, at most 256; memory beyond the request itself depends
                on this only.

        Raises:
            MlflowException: the request has both columns or neither, or paths while none are allowed; or it
                was given up.
        """
        from headstart.versions.serving.answers import as_table
        from headstart.versions.serving.signature import BATCH, LARGEST_BATCH

        items, read = self._items(model_input)
        batch = int((params or {"batch": BATCH})["batch"])
        if not 1 <= batch <= LARGEST_BATCH:
            raise refused(f"batch is {batch}; expected 1 to {LARGEST_BATCH}")
        return as_table(self.answers(items, read, batch))

    def answers(self, items: Sequence[Any], read: Callable[[Any], bytes], batch: int) -> list[Any]:
        """One `Answer` per item, in order.

        Args:
            read: returns an item's image file; may raise DataError or OSError.
            batch: images per forward pass.

        Raises:
            MlflowException: the request was given up.
        """
        from headstart.errors import DataError
        from headstart.versions.serving.answers import answer
        from headstart.versions.serving.scoring import score_items

        given_up = self.given_up()

        def read_if_wanted(item: Any) -> bytes:
            if given_up.is_set():
                raise DataError("given up")
            return read(item)

        rows = []
        with closing(score_items(items, read_if_wanted, self.predictor, batch, self.room)) as scored:
            for _, found in scored:
                if given_up.is_set():
                    raise MlflowException("the request was given up", REQUEST_LIMIT_EXCEEDED)
                rows.append(answer(self.predictor, self.version, found))
        return rows

    def _items(self, given: pd.DataFrame) -> tuple[list[Any], Callable[[Any], bytes]]:
        from headstart.versions.serving.path_access import SETTING

        columns = [name for name in ("image", "path") if name in given]
        if len(columns) != 1:
            raise refused(
                "give one of the columns `image` (bytes of image files, base64 in JSON) and `path`; "
                f"this request has {' and '.join(columns) or 'neither'}"
            )
        if columns == ["image"]:
            return given["image"].tolist(), bytes_of
        if self.access.nothing:
            raise refused(
                "paths are not read here: send the column `image`, or start the server (or set it before "
                f"load_model) with {SETTING}=/folder,s3://bucket/prefix, or {SETTING}=* for all it may read"
            )
        return given["path"].tolist(), self.read_path

    def read_path(self, path: object) -> bytes:
        """The image file that a request names.

        Raises:
            DataError: it is not below an allowed place, or cannot be read.
        """
        from headstart.errors import DataError

        if not isinstance(path, str) or not path:
            raise DataError("no path")
        return self.access.read(path)


def bytes_of(image: object) -> bytes:
    """An image file that a request holds, as bytes or in Base64.

    Raises:
        DataError: it is neither.
    """
    from headstart.errors import DataError

    if isinstance(image, bytes | bytearray):
        return bytes(image)
    if not isinstance(image, str):
        raise DataError("no image: expected the bytes of an image file, in Base64 if they are text")
    if image.startswith("data:"):
        raise DataError("a data URI: send only the Base64 that follows its comma")
    try:
        return base64.b64decode("".join(image.split()), validate=True)
    except ValueError as error:
        raise DataError(f"not Base64: {error}") from error


def refused(text: str) -> MlflowException:
    return MlflowException(text, INVALID_PARAMETER_VALUE)


set_model(ServedModel())
