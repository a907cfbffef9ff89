"""The inputs and outputs of a registered model, as MLflow shows and enforces them."""

from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Map

BATCH, LARGEST_BATCH = 32, 256  # images per forward pass


def signature() -> ModelSignature:
    """A column `image` with file contents or a column `path`; the model checks that exactly one is given."""
    return ModelSignature(
        inputs=Schema(
            [ColSpec("binary", "image", required=False), ColSpec("string", "path", required=False)]
        ),
        outputs=Schema(
            [
                ColSpec("string", "label", required=False),
                ColSpec(Map("double"), "probabilities", required=False),
                ColSpec("string", "model_version"),
                ColSpec("string", "error", required=False),
            ]
        ),
        params=ParamSchema([ParamSpec("batch", "integer", BATCH)]),
    )
