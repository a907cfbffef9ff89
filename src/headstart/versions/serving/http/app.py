"""The doors of `headstart serve`: /predict, /invocations, /healthz, /readyz and /metrics."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from mlflow.exceptions import MlflowException
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from headstart import __version__
from headstart.errors import ArgumentError
from headstart.versions.serving import turns
from headstart.versions.serving.answers import COLUMNS
from headstart.versions.serving.http import documents, items
from headstart.versions.serving.http.live import Live, LiveVersion
from headstart.versions.serving.http.metrics import Metrics
from headstart.versions.serving.http.request_ids import request_id
from headstart.versions.serving.kept.keeping import Keeping
from headstart.versions.serving.protocol import invoke
from headstart.versions.serving.turns import Turns

LOG = logging.getLogger("uvicorn.error")


class Serving(NamedTuple):
    """Everything that the doors ask.

    Attributes:
        model: as it was given to the command.
        problem: returns why a newer version does not answer; None if there is no reason.
        most: files per form.
        keeping: of a share of requests; None if none are kept.
    """

    model: str
    live: Live
    turns: Turns
    metrics: Metrics
    problem: Callable[[], str | None]
    most: int
    keeping: Keeping | None = None

    def kept(self, request: str) -> AbstractContextManager[None]:
        """The block in which a thread answers a request, which is kept if it is drawn."""
        return nullcontext() if self.keeping is None else self.keeping.request(request)


def make_app(serving: Serving) -> FastAPI:
    """The app, with its description at /openapi.json."""
    app = FastAPI(title="Headstart", version=__version__, docs_url=None, redoc_url=None)
    app.add_exception_handler(HTTPException, _refused)
    _add_answers(app, serving)
    _add_state(app, serving)
    return app


def _add_answers(app: FastAPI, serving: Serving) -> None:
    refusals = documents.REFUSALS

    @app.post(
        "/predict",
        openapi_extra=documents.PREDICT,
        responses={200: {"model": documents.Answers, **documents.ANSWERED}, **refusals},
    )
    async def predict(request: Request) -> Response:
        """Classify images: files of a form, one image as the body, or a JSON list."""
        try:
            given = await items.items_of(request, serving.most)
        except items.WrongKind as error:
            return turns.error(415, str(error))
        except ArgumentError as error:
            return turns.error(400, str(error))
        return await serving.turns.answer(
            request, lambda: _predict(serving, given, request_id(request.scope))
        )

    @app.post(
        "/invocations",
        openapi_extra=documents.INVOCATIONS,
        responses={200: {"model": documents.Predictions, **documents.ANSWERED}, **refusals},
    )
    async def invocations(request: Request) -> Response:
        """Classify images in the forms of MLflow's scoring server."""
        body, kind = await request.body(), request.headers.get("content-type", "")

        def work() -> Response:
            with serving.kept(request_id(request.scope)), serving.live.version() as version:
                return invoke(body, kind, version.as_pyfunc)

        return await serving.turns.answer(request, work)


def _add_state(app: FastAPI, serving: Serving) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses={200: {"model": documents.Readiness}, 503: {"model": documents.Readiness}})
    async def readyz() -> Response:
        """Whether a version answers, and which."""
        version = serving.live.current
        state = {"ready": version.is_alive, "model": serving.model, "model_version": version.version}
        return JSONResponse({**state, "problem": serving.problem()}, 200 if version.is_alive else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Figures in Prometheus' text format."""
        serving.metrics.queue.set(serving.turns.unanswered)
        return Response(serving.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _predict(serving: Serving, given: Callable[[], list[items.Item]], request: str) -> Response:
    """Answer in a thread of `Turns`."""
    try:
        with serving.kept(request), serving.live.version() as version:
            return _answered(serving.model, version, given(), request)
    except ArgumentError as error:
        return turns.error(400, str(error))
    except MlflowException as error:
        return turns.error(error.get_http_status_code(), error.message, error.error_code)
    except Exception:
        LOG.exception("a request to /predict failed")
        return turns.error(500, "the version failed; the server's log has the reason", "INTERNAL_ERROR")


def _answered(model: str, version: LiveVersion, given: list[items.Item], request: str) -> Response:
    rows = version.answers(given, items.reader(version.served))
    answers = [
        {"id": f"{request}-{index}", "name": _utf8(item.name), **dict(zip(COLUMNS, row, strict=True))}
        for index, (item, row) in enumerate(zip(given, rows, strict=True))
    ]
    return JSONResponse({"model": model, "model_version": version.version, "answers": answers})


def _utf8(name: str | None) -> str | None:
    """A name without what UTF-8 cannot hold."""
    return None if name is None else name.encode(errors="replace").decode()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return turns.error(error.status_code, str(error.detail))
