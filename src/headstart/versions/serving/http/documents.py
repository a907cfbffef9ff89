"""The schemas of requests and answers, as `/openapi.json` shows them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headstart.versions.serving.http.items import BYTES, FORM, JSON, SOURCES

PROBABILITIES: dict[str, Any] = {"ok": 0.98, "scratched": 0.02}
VERSION = "models:/headstart/3"
ENCODED = "iVBORw0KGgo="


class Answer(BaseModel):
    """The answer for one image."""

    model_config = ConfigDict(protected_namespaces=())

    name: str | None = Field(description="of the file or path; null for an image without one")
    label: str | None = Field(description="null for an image that cannot be read or that the head refuses")
    probabilities: dict[str, float] | None = Field(description="by class; null if it cannot be read")
    model_version: str
    error: str | None = Field(description="why there is no label")


class Answers(BaseModel):
    """One answer per image, in order."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "model": "models:/headstart@champion",
                "model_version": VERSION,
                "answers": [
                    {
                        "name": "a.jpg",
                        "label": "ok",
                        "probabilities": PROBABILITIES,
                        "model_version": VERSION,
                        "error": None,
                    }
                ],
            }
        },
    )

    model: str = Field(description="as it was given to `headstart serve`")
    model_version: str = Field(description="that answered: models:/NAME/VERSION")
    answers: list[Answer]


class Predictions(BaseModel):
    """Answers in MLflow's form: one per row, in order, without names."""

    predictions: list[dict[str, Any]] = Field(
        examples=[[{"label": "ok", "probabilities": PROBABILITIES, "model_version": VERSION, "error": None}]]
    )


class Problem(BaseModel):
    """Why a request was refused, in MLflow's form."""

    error_code: str = Field(examples=["REQUEST_REFUSED"])
    message: str


class Readiness(BaseModel):
    """The version that answers, and why a newer one does not."""

    model_config = ConfigDict(protected_namespaces=())

    ready: bool
    model: str
    model_version: str
    problem: str | None = Field(description="of a version that the alias names, but that does not answer")


def _json(schema: dict[str, Any], **examples: object) -> dict[str, Any]:
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


def _object(**properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


FILE = {"type": "string", "format": "binary"}
ITEM = {
    "oneOf": [
        {
            "type": "object",
            "required": [source],
            "properties": {source: {"type": "string"}, "name": {"type": "string"}},
        }
        for source in SOURCES
    ]
}
PREDICT = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {"schema": _object(image={"type": "array", "items": FILE})},
            "image/*": {"schema": FILE},
            BYTES: {"schema": FILE},
            JSON: _json(
                _object(images={"type": "array", "items": ITEM}),
                base64={"images": [{"name": "a.png", "base64": ENCODED}]},
                data_uri={"images": [{"data_uri": f"data:image/png;base64,{ENCODED}"}]},
                path={"images": [{"path": "/srv/images/a.jpg"}, {"path": "/srv/images/b.jpg"}]},
            ),
        },
    }
}

ROW = {"type": "object", "properties": {"image": {"type": "string"}, "path": {"type": "string"}}}
ROWS = {"type": "array", "items": ROW}
COLUMNS = {"type": "object", "additionalProperties": {"type": "array"}}
SPLIT = _object(columns={"type": "array", "items": {"type": "string"}}, data={"type": "array"})
INVOCATIONS = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: _json(
                {
                    "oneOf": [
                        _object(dataframe_split=SPLIT),
                        _object(dataframe_records=ROWS),
                        _object(instances=ROWS),
                        _object(inputs={"oneOf": [COLUMNS, ROWS]}),
                    ]
                },
                dataframe_split={"dataframe_split": {"columns": ["image"], "data": [[ENCODED]]}},
                dataframe_records={"dataframe_records": [{"image": ENCODED}]},
                instances={"instances": [{"image": ENCODED}]},
                inputs={"inputs": {"image": [ENCODED]}},
            ),
            "text/csv": {"schema": {"type": "string"}, "example": f"image\n{ENCODED}\n"},
        },
    }
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the request is malformed, or has too many images"},
    401: {"model": Problem, "description": "a bearer token is needed"},
    413: {"description": "the body is too large"},
    415: {"model": Problem, "description": "the content type is another"},
    503: {"model": Problem, "description": "too many requests wait; see the header Retry-After"},
    504: {"model": Problem, "description": "no answer within the time"},
}
