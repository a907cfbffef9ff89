"""The model that MLflow stores as code and serves: image bytes in, label and probabilities out."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ServedModel(PythonModel):
    """One row a picture: column `image` holds the bytes of an image file."""

    def load_context(self, context: Any) -> None:
        from headstart.model.predictor import Predictor
        from headstart.registry.frozen import fetch_frozen

        files = context.artifacts
        backbone = Path(files["backbone"]) if "backbone" in files else fetch_frozen(Path(files["frozen"]))
        self.predictor = Predictor.load(Path(files["head"]), backbone)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a picture: `label`, and `probabilities` by class."""
        probabilities = self.predictor.predict(model_input["image"].tolist())
        classes = self.predictor.classes
        return pd.DataFrame(
            {
                "label": [classes[row.argmax()] for row in probabilities],
                "probabilities": [dict(zip(classes, map(float, row), strict=True)) for row in probabilities],
            }
        )


set_model(ServedModel())
