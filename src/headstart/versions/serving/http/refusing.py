"""Failures of the work on a request, as its client is answered."""

import logging
from collections.abc import Callable

from mlflow.exceptions import MlflowException
from starlette.responses import Response

from headstart.errors import ArgumentError
from headstart.versions.serving import turns
from headstart.versions.serving.http.items import WrongKind
from headstart.versions.serving.protocol import FAULT, INTERNAL

LOG = logging.getLogger("uvicorn.error")


def refusing(door: str, work: Callable[[], Response]) -> Response:
    """The response of the work, or a refusal with the reason; errors of libraries stay in the log.

    Args:
        door: path of the request, for the log.
    """
    try:
        return work()
    except WrongKind as error:
        return turns.error(415, str(error))
    except ArgumentError as error:
        return turns.error(400, str(error))
    except MlflowException as error:
        return turns.error(error.get_http_status_code(), error.message, error.error_code)
    except Exception:
        LOG.exception("a request to %s failed", door)
        return turns.error(500, FAULT, INTERNAL)
