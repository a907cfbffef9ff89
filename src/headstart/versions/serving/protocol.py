"""MLflow's protocol of `/invocations`: dataframe_split, dataframe_records, instances, inputs, and CSV."""

import functools
import json
import logging
import re
from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.pyfunc import PyFuncModel, scoring_server
from starlette.responses import Response

from headstart.errors import ArgumentError
from headstart.versions.serving import turns
from headstart.versions.serving.counting import check_rows, check_values

INSTANCES, RECORDS = "instances", "dataframe_records"
PARQUET, CSV = "parquet", "text/csv"
FAULT = "the version failed; the server's log has the reason"
INTERNAL = "INTERNAL_ERROR"
ESCAPED_HALF, HALF = re.compile(rb"\\u[dD][89a-fA-F]"), re.compile(r"[\ud800-\udfff]")  # of a UTF-16 pair
Predict = Callable[..., Any]
LOG = logging.getLogger("uvicorn.error")


def invoke(body: bytes, kind: str, model: PyFuncModel, most: int) -> Response:
    """Answer a request as MLflow's scoring server does, with short errors and one answer per row.

    Args:
        kind: the content type.
        most: images that a request may have; the model counts them, this bounds what is built before.
    """
    if PARQUET in kind.lower():  # read whole before its rows can be counted, and a few KB can hold millions
        return turns.error(400, "Failed to parse the request: Parquet is not read, send JSON or CSV")
    try:
        check_values(body, most)
        if CSV in kind.lower():
            check_rows(body, most)
        found = scoring_server.invocations(
            _with_every_row(_with_whole_characters(body)), kind, model, model.metadata.get_input_schema()
        )
    except ArgumentError as error:
        return turns.error(400, str(error))
    except MlflowException as error:
        if trace := error.json_kwargs.get("stack_trace"):
            LOG.error("%s", trace)
        reason = error.message.rpartition("\nError: ")[2]  # without the rows, which come first
        return turns.error(error.get_http_status_code(), reason, error.error_code)
    except RecursionError:
        return turns.error(400, "the request is nested too deeply")
    except (TypeError, ValueError) as error:  # of MLflow's parsers: those of a version are `as_fault`
        return turns.error(400, f"the request cannot be read: {error}")
    except Exception:
        LOG.exception("a request to /invocations failed")
        return turns.error(500, FAULT, INTERNAL)
    return Response(found.response, found.status, media_type=found.mimetype)


def as_fault(predict: Predict) -> Predict:
    """Let what a version raises beside MLflow's own errors be a fault of the server.

    MLflow answers that it is one of the request.
    """

    @functools.wraps(predict)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return predict(*args, **kwargs)
        except MlflowException:
            raise
        except Exception as error:
            LOG.exception("a request to /invocations failed")
            raise MlflowException(FAULT, INTERNAL_ERROR) from error

    return wrapped


def _with_whole_characters(body: bytes) -> bytes:
    """The request with U+FFFD for what UTF-8 cannot hold: one such name would fail all rows in pandas."""
    if not ESCAPED_HALF.search(body):
        return body
    try:
        return HALF.sub("\ufffd", json.dumps(json.loads(body), ensure_ascii=False)).encode()
    except ValueError:
        return body  # MLflow words the error


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
