"""The doors of `headstart serve`: /predict, /invocations, /healthz, /readyz and /metrics, and the page."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from headstart import __version__
from headstart.versions.serving import turns
from headstart.versions.serving.http import documents, items, trying
from headstart.versions.serving.http.live import Live, LiveVersion
from headstart.versions.serving.http.metrics import Metrics
from headstart.versions.serving.http.refusing import refusing
from headstart.versions.serving.http.request_ids import request_id
from headstart.versions.serving.kept.keeping import Keeping
from headstart.versions.serving.protocol import invoke
from headstart.versions.serving.turns import Turns


class Serving(NamedTuple):
    """Everything that the doors ask.

    Attributes:
        model: as it was given to the command.
        explaining: the turns of /explain, which is slow: they take none of the others.
        problem: returns why a newer version does not answer; None if there is no reason.
        most: images per request.
        keeping: of a share of requests; None if none are kept.
    """

    model: str
    live: Live
    turns: Turns
    explaining: Turns
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
    trying.add_page(app, serving.model, serving.live, serving.explaining)
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
        body, kind = await request.body(), request.headers.get("content-type", "")
        return await serving.turns.answer(
            request,
            lambda: _predict(
                serving, lambda: items.items_of(body, kind, serving.most), request_id(request.scope)
            ),
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
                return invoke(body, kind, version.as_pyfunc, serving.most)

        return await serving.turns.answer(request, work)


def _add_state(app: FastAPI, serving: Serving) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
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

    def work() -> Response:
        with serving.kept(request), serving.live.version() as version:
            return _answered(serving.model, version, given(), request)

    return refusing("/predict", work)


def _answered(model: str, version: LiveVersion, given: list[items.Item], request: str) -> Response:
    rows = version.answers(given, items.reader(version.served))
    answers = [
        {"id": f"{request}:{index}", **items.named_answer(item, row)}
        for index, (item, row) in enumerate(zip(given, rows, strict=True))
    ]
    return JSONResponse({"model": model, "model_version": version.version, "answers": answers})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return turns.error(error.status_code, str(error.detail))
