"""A version as MLflow loads it, with a network that stands in for a trained one."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.models import Model
from mlflow.pyfunc.model import _PythonModelPyfuncWrapper

from headstart.errors import DataError
from headstart.versions.serving.path_access import PathAccess
from headstart.versions.serving.served_model import ServedModel
from headstart.versions.serving.signature import signature

IMAGE = b"\x89an image"
TEXT = base64.b64encode(IMAGE).decode()


class Network:
    """Stands for the network: it decodes `IMAGE` alone, and finds two classes."""

    classes = ("dark", "light")

    def __init__(self) -> None:
        self.passes = 0
        self.refused: str | None = None
        self.at_each_pass: Callable[[], object] = lambda: None

    def pixels(self, image: bytes) -> np.ndarray:
        if image != IMAGE:
            raise DataError("cannot be decoded")
        return np.zeros((2, 2, 3), np.uint8)

    def refusal(self, probabilities: np.ndarray) -> str | None:
        return self.refused

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        self.passes += 1
        self.at_each_pass()
        return np.tile([0.25, 0.75], (len(pixels), 1))


def served_model(folder: Path) -> ServedModel:
    """A version that may read the files of a folder."""
    model = ServedModel()
    model.predictor, model.version, model.access = Network(), "models:/m/1", PathAccess(str(folder))
    return model


def loaded(model: ServedModel) -> Any:
    """The version as MLflow loads it, with the checks of its signature."""
    wrapper = _PythonModelPyfuncWrapper(model, None, signature())
    return mlflow.pyfunc.PyFuncModel(Model(signature=signature()), wrapper)
