"""MLflow's protocol of `/invocations`: dataframe_split, dataframe_records, instances, inputs, and CSV."""

import json
import logging
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server
from starlette.responses import Response

from headstart.versions.serving import turns

INSTANCES, RECORDS = "instances", "dataframe_records"
PARQUET = "parquet"
LOG = logging.getLogger("uvicorn.error")


def invoke(body: bytes, kind: str, model: PyFuncModel) -> Response:
    """Answer a request as MLflow's scoring server does, with short errors and one answer per row.

    Args:
        kind: the content type.
    """
    if PARQUET in kind.lower():  # read whole before its rows can be counted, and a few KB can hold millions
        return turns.error(400, "Failed to parse the request: Parquet is not read, send JSON or CSV")
    try:
        found = scoring_server.invocations(
            _with_every_row(body), kind, model, model.metadata.get_input_schema()
        )
    except MlflowException as error:
        if trace := error.json_kwargs.get("stack_trace"):
            LOG.error("%s", trace)
        reason = error.message.rpartition("\nError: ")[2]  # without the rows, which come first
        return turns.error(error.get_http_status_code(), reason, error.error_code)
    except RecursionError:
        return turns.error(400, "the request is nested too deeply")
    return Response(found.response, found.status, media_type=found.mimetype)


def _with_every_row(body: bytes) -> bytes:
    """The request with rows that are no objects as empty ones, and instances as records.

    MLflow turns instances into columns, and drops what a row lacks: later rows would get the answers of
    others.
    """
    if INSTANCES.encode() not in body and RECORDS.encode() not in body:
        return body
    try:
        document = json.loads(body)
    except ValueError:
        return body  # MLflow words the error
    rows = _rows(document)
    if rows is None:
        return body
    kept = {key: value for key, value in document.items() if key not in (INSTANCES, RECORDS)}
    return json.dumps({**kept, RECORDS: rows}).encode()


def _rows(document: object) -> list[dict[str, Any]] | None:
    """The rows of a request by records or instances; None for another one, or without any object."""
    given = [key for key in (INSTANCES, RECORDS) if isinstance(document, dict) and key in document]
    if len(given) != 1:
        return None
    rows = document[given[0]]  # type: ignore[index]  # it is a dict, or `given` were empty
    if not isinstance(rows, list) or not any(isinstance(row, dict) for row in rows):
        return None
    return [row if isinstance(row, dict) else {} for row in rows]
