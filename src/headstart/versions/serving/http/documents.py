"""The schemas of requests and answers, as `/openapi.json` shows them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headstart.versions.serving.http import request_ids as ids
from headstart.versions.serving.http.items import BYTES, FORM, JSON, SOURCES

PROBABILITIES: dict[str, Any] = {"ok": 0.98, "scratched": 0.02}
VERSION = "models:/headstart/3"
LABELLED = {"label": "ok", "probabilities": PROBABILITIES, "model_version": VERSION, "error": None}
REQUEST = "0b5ae2c1d8f54c3a9e1f6d7b2a4c8e90"
ENCODED = "iVBORw0KGgo="


class Answer(BaseModel):
    """The answer for one image."""

    model_config = ConfigDict(protected_namespaces=())

    name: str | None = Field(description="of the file or path; null for an image without one")
    label: str | None = Field(description="null for an image that cannot be read or that the head refuses")
    probabilities: dict[str, float] | None = Field(description="by class; null if it cannot be read")
    model_version: str
    error: str | None = Field(description="why there is no label")


class IdentifiedAnswer(Answer):
    """The answer for one image of a request to /predict."""

    id: str = Field(
        description="of the image: the request's id, which X-Request-Id has, and its place from 0"
    )


class Answers(BaseModel):
    """One answer per image, in order."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "model": "models:/headstart@champion",
                "model_version": VERSION,
                "answers": [{"id": f"{REQUEST}:0", "name": "a.jpg", **LABELLED}],
            }
        },
    )

    model: str = Field(description="as it was given to `headstart serve`")
    model_version: str = Field(description="that answered: models:/NAME/VERSION")
    answers: list[IdentifiedAnswer]


class Predictions(BaseModel):
    """Answers in MLflow's form: one per row, in order, without names."""

    predictions: list[dict[str, Any]] = Field(examples=[[LABELLED]])


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
ID_SCHEMA = {"type": "string", "pattern": f"^{ids.FORM}$"}
ID_HEADER = {"description": "the request's id; its images are ID:0, ID:1, ...", "schema": ID_SCHEMA}
ANSWERED: dict[str, Any] = {"headers": {ids.HEADER: ID_HEADER}}
PARAMETERS = [
    {
        "name": ids.HEADER,
        "in": "header",
        "description": "an id for the request, unique among all; a new one is drawn without it",
        "schema": ID_SCHEMA,
        "example": REQUEST,
    }
]
PREDICT = {
    "parameters": PARAMETERS,
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
    },
}

ROW = {"type": "object", "properties": {"image": {"type": "string"}, "path": {"type": "string"}}}
ROWS = {"type": "array", "items": ROW}
COLUMNS = {"type": "object", "additionalProperties": {"type": "array"}}
SPLIT = _object(columns={"type": "array", "items": {"type": "string"}}, data={"type": "array"})
INVOCATIONS = {
    "parameters": PARAMETERS,
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
    },
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the request is malformed, or has too many images"},
    401: {"model": Problem, "description": "a bearer token is needed"},
    413: {"description": "the body is too large"},
    415: {"model": Problem, "description": "the content type is another"},
    503: {"model": Problem, "description": "too many requests wait; see the header Retry-After"},
    504: {"model": Problem, "description": "no answer within the time"},
}
