"""The inputs and outputs of a registered model, as MLflow shows and enforces them."""

from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Map

BATCH, LARGEST_BATCH = 32, 256  # images per forward pass


def signature() -> ModelSignature:
    """A column `image` with file contents or a column `path`; the model checks that exactly one is given.

    `image` is Base64 or, in Python, bytes. It is not `binary`, for which MLflow would decode Base64 itself
    and refuse all rows for one that is not.
    """
    return ModelSignature(
        inputs=Schema(
            [ColSpec("string", "image", required=False), ColSpec("string", "path", required=False)]
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
