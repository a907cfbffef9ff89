"""`headstart.load`: a version, a downloaded model or a head file that answers in this process."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headstart.errors import ArgumentError, DataError
from headstart.ground.wording import named
from headstart.host.project import be_quiet, find_root

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from headstart.api.images import Images
    from headstart.versions.serving.predictor import Predictor

SHOWN = 5  # images that an error names


def load(model: str | os.PathLike[str]) -> "Model":
    """Load a model, without running any of the code packed with it.

    Its tensors are checked by their digests. A version's whole head file, with its classes, limits and
    transform, is compared with the digest that the server recorded; earlier versions have only that of the
    tensors there, and a folder or file of your own has only those in itself.

    Args:
        model: `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/model` on the server that
            MLFLOW_TRACKING_URI names, else in the database of the project around the working folder, or
            without one in MLflow's own default (`mlflow.db` or `mlruns` in the working folder); the
            folder of a downloaded or exported model; or a head file next to its `backbone.safetensors`.

    Raises:
        TrackingError: MLflow is unreachable or has no such model, or Headstart did not register it.
        ModelError: the model was changed after it was registered or written.
    """
    here = Path.cwd()
    return load_in(find_root(here), model, here)


def load_in(root: Path | None, model: str | os.PathLike[str], folder: Path) -> "Model":
    """Load a model as `load` does, for the project at `root`; None for no project.

    Args:
        folder: the absolute folder that a relative path starts from.

    Raises:
        ArgumentError: the model is in MLflow, but nothing says where.
    """
    be_quiet()
    from headstart.versions.registry import tracking
    from headstart.versions.serving.opening import open_model

    name, path = os.fspath(model), folder / model
    with tracking.in_project(root):
        if not path.exists() and not tracking.has_store():
            raise ArgumentError(
                f"there is no file or folder {name}, and no server to ask for it: set MLFLOW_TRACKING_URI, "
                "or change to a folder of the project whose database has it"
            )
        opened = open_model(name, root, folder)
    return Model(opened.version, opened.predictor)


class Model:
    """A loaded model; `headstart.load` makes one.

    Attributes:
        version: `models:/NAME/VERSION` for a registered version, with an alias resolved when it was loaded,
            else `head DIGEST`.
        classes: names of the classes, in the order of the probabilities.
    """

    def __init__(self, version: str, predictor: "Predictor") -> None:
        self.version = version
        self.classes: tuple[str, ...] = predictor.classes
        self._predictor = predictor

    def __repr__(self) -> str:
        return f"<headstart.Model {self.version}: {named(self.classes)}>"

    def predict(self, images: "Images") -> "pd.DataFrame":
        """Classify pictures, each by the rules of a file: limits of size and mode, orientation, transparency.

        Args:
            images: one picture or several: paths or URLs, bytes of image files, Pillow images, arrays uint8
                [H, W, 3] in the order red, green, blue, or [H, W]; an array [N, H, W, 3] is N pictures.

        Returns:
            One row per picture, in the order given, with the figures and columns of a served version:
            `label`; `probabilities`, by class; `model_version`; `error`. A picture that cannot be read, or
            that training would have refused, has neither label nor probabilities but the reason in `error`;
            one that the head is not sure of, if it was trained to abstain, has probabilities and the reason.

        Raises:
            ArgumentError: an array is not uint8 or has another shape, or something is not a picture.
        """
        from headstart.api.images import Reader, as_list
        from headstart.versions.serving.answers import answer, as_table
        from headstart.versions.serving.scoring import score_items
        from headstart.versions.serving.signature import BATCH

        scored = score_items(as_list(images), Reader().read, self._predictor, BATCH)
        return as_table([answer(self._predictor, self.version, found) for _, found in scored])

    def embed(self, images: "Images", *, errors: Literal["raise", "nan"] = "raise") -> "np.ndarray":
        """The features of pictures at the cut, where the frozen part of the network ends.

        On one kind of machine they are the bytes that stage features writes for the same pixels.

        Args:
            images: as in `predict`.
            errors: for a picture that cannot be read, or that training would have refused: `raise` an error
                that names it, or fill its row with `nan`.

        Returns:
            float32 [n, d], in the order given. Features in the form of maps [C, H, W] are flattened.

        Raises:
            ArgumentError: as in `predict`.
            DataError: pictures have no features, and `errors` is `raise`.
            ModelError: every layer of the model was trained, so there is no cut.
        """
        import numpy as np

        from headstart.api.images import Reader, as_list
        from headstart.versions.serving.embedding import Embedding
        from headstart.versions.serving.scoring import score_items

        if errors not in ("raise", "nan"):
            raise ArgumentError(f"errors is {errors!r}; expected 'raise' or 'nan'")
        given, embedding = as_list(images), Embedding(self._predictor)
        rows = np.full((len(given), embedding.width), np.nan, np.float32)
        bad: list[str] = []
        scored = score_items(given, Reader().read, embedding, embedding.batch_size)
        for number, (image, found) in enumerate(scored):
            if isinstance(found, DataError):
                shown = f" ({image})" if isinstance(image, str | os.PathLike) else ""
                bad.append(f"image {number}{shown}: {found}")
            else:
                rows[number] = found
        if bad and errors == "raise":
            raise DataError(
                f"{len(bad)} of {len(given)} images have no features: {named(bad, SHOWN)}; leave them out, "
                "or use errors='nan'"
            )
        return rows
