"""A registered version over HTTP, as MLflow serves it, with bounds on work; `make serve` starts it."""

import argparse
import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow.pyfunc
import uvicorn
from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.version import VERSION
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive

from headstart.errors import HeadstartError, TrackingError
from headstart.ground.paths import PACKAGE
from headstart.host import bounded_server
from headstart.host.plain_environment import without_credentials
from headstart.versions.registry.stored_model import StoredModel, fetch
from headstart.versions.serving.packaged_code import check_code
from headstart.versions.serving.path_access import EVERYTHING, SETTING

SIZES = bounded_server.Sizes(body=64 << 20, bodies=256 << 20)
AT_ONCE = 2  # requests: one is decoded while the network runs another
UNANSWERED = 64  # requests, with those that wait for their turn
SHOWN = 2000  # characters of an error
GONE = 499  # the client left: nobody reads the answer
LOG = logging.getLogger("uvicorn.error")


def make_app(model: PyFuncModel, seconds: float) -> Starlette:
    """MLflow's scoring server of a model; see `Invocations`.

    Args:
        seconds: for an answer, with the wait for its turn; a request without one by then is given up.
    """
    invocations = Invocations(model, seconds)

    async def ping(request: Request) -> Response:
        return PlainTextResponse("\n")

    async def version(request: Request) -> Response:
        return PlainTextResponse(VERSION)

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/health", ping),
            Route("/version", version),
            Route("/invocations", invocations.answer, methods=["POST"]),
        ]
    )


class Invocations:
    """Answers requests in the forms of MLflow's scoring server, `AT_ONCE` at a time, the others in turn.

    Work ends before its next forward pass if its client is gone or its time is over; until then it keeps
    its place.
    """

    def __init__(self, model: PyFuncModel, seconds: float) -> None:
        self._model, self._seconds = model, seconds
        self._schema = model.metadata.get_input_schema()
        self._threads = ThreadPoolExecutor(AT_ONCE, "invocation")
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._unanswered = 0
        self._running = threading.local()
        model.unwrap_python_model().given_up = lambda: self._running.given_up

    async def answer(self, request: Request) -> Response:
        """Answer a request, or refuse it if too many wait."""
        if self._unanswered >= UNANSWERED:
            return _error(503, f"{UNANSWERED} requests wait for an answer; try again later")
        body, kind = await request.body(), request.headers.get("content-type", "")
        self._unanswered += 1
        given_up = threading.Event()
        work = asyncio.create_task(self._in_turn(body, kind, given_up))
        gone = asyncio.create_task(_until_gone(request.receive))
        try:
            await asyncio.wait({work, gone}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if gone.done():
                return Response(status_code=GONE)
            return _error(504, f"no answer within {self._seconds:g} s; send fewer images per request")
        finally:
            self._unanswered -= 1
            given_up.set()
            work.cancel()
            gone.cancel()

    async def _in_turn(self, body: bytes, kind: str, given_up: threading.Event) -> Response:
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        work = self._threads.submit(self._invoke, body, kind, given_up)
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._turns.release))
        return await asyncio.wrap_future(work)

    def _invoke(self, body: bytes, kind: str, given_up: threading.Event) -> Response:
        self._running.given_up = given_up
        try:
            found = scoring_server.invocations(body, kind, self._model, self._schema)
        except MlflowException as error:
            if trace := error.json_kwargs.get("stack_trace"):
                LOG.error("%s", trace)
            reason = error.message.rpartition("\nError: ")[2]  # without the rows, which come first
            return _error(error.get_http_status_code(), reason, error.error_code)
        except RecursionError:
            return _error(400, "the request is nested too deeply")
        return Response(found.response, found.status, media_type=found.mimetype)


async def _until_gone(receive: Receive) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _error(status: int, text: str, code: str = "REQUEST_REFUSED") -> Response:
    shown = text[:SHOWN].encode(errors="replace").decode()
    return JSONResponse({"error_code": code, "message": shown}, status)


def load(model: StoredModel) -> PyFuncModel:
    """Load a version with the code packed with it; what was imported from this tree makes room for it.

    Raises:
        TrackingError: it does not load, or brings no code of its own.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE.name]:
        del sys.modules[name]
    try:
        loaded: PyFuncModel = mlflow.pyfunc.load_model(str(model.folder))
    except Exception as error:  # its own code raises its own errors
        raise TrackingError(f"{model.name} does not load: {type(error).__name__}: {error}") from error
    code = sys.modules.get(PACKAGE.name)
    if code is None or Path(code.__file__ or "").resolve().parent == PACKAGE:
        raise TrackingError(
            f"{model.name} holds no code of its own: only versions that Headstart made are served"
        )
    return loaded


def _environment(whole: Mapping[str, str]) -> dict[str, str]:
    """The variables for a version's code: no credentials, except those that images behind URLs may need."""
    places = whole.get(SETTING, "")
    own = {name: value for name, value in whole.items() if name.startswith("HEADSTART_")}
    if "://" in places or places.strip() == EVERYTHING:
        others = ("MLFLOW_", "PREFECT_")
        own |= {name: value for name, value in whole.items() if not name.startswith(others)}
    return without_credentials(whole) | own


def main() -> None:
    """Load the version that the command line names, and serve it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="models:/NAME/VERSION or models:/NAME@ALIAS")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5001)
    chosen = parser.parse_args()
    model = fetch(chosen.model)
    check_code(model)
    model.backbone()  # into the cache, since the version's code gets no access to the server
    print(f"{model.name}: POST images to http://{chosen.host}:{chosen.port}/invocations", flush=True)
    seconds = MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get()
    kept = _environment(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    app = make_app(load(model), seconds)
    uvicorn.Server(bounded_server.config(app, chosen.host, chosen.port, SIZES)).run()


if __name__ == "__main__":
    try:
        main()
    except HeadstartError as error:
        sys.exit(f"error: {error}")
