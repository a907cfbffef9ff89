"""A registered version over HTTP, as MLflow serves it, with bounds on work; `make serve` starts it."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import mlflow.pyfunc
from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.pyfunc import PyFuncModel
from mlflow.version import VERSION
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from headstart.errors import HeadstartError, TrackingError
from headstart.ground.paths import PACKAGE
from headstart.host import bounded_server
from headstart.host.ending import ended_by_signals
from headstart.host.ending_server import EndingServer, listen
from headstart.host.plain_environment import without_credentials
from headstart.versions.registry.stored_model import StoredModel, fetch
from headstart.versions.serving.packaged_code import check_code
from headstart.versions.serving.path_access import EVERYTHING, SETTING
from headstart.versions.serving.protocol import as_fault, invoke
from headstart.versions.serving.turns import Turns

SIZES = bounded_server.Sizes(body=64 << 20, bodies=256 << 20)
AT_ONCE = 2  # requests: one is decoded while the network runs another
UNANSWERED = 64  # requests, with those that wait for their turn
MOST_IMAGES = 100_000  # per request: more are refused before their values are built


def make_app(model: PyFuncModel, seconds: float) -> Starlette:
    """MLflow's scoring server of a model.

    Args:
        seconds: for an answer, with the wait for its turn; a request without one by then is given up.
    """
    turns = Turns(AT_ONCE, UNANSWERED, seconds)
    version = model.unwrap_python_model()
    version.given_up, version.predict = turns.given_up, as_fault(version.predict)

    async def invocations(request: Request) -> Response:
        body, kind = await request.body(), request.headers.get("content-type", "")
        return await turns.answer(request, lambda: invoke(body, kind, model, MOST_IMAGES))

    async def ping(request: Request) -> Response:
        return PlainTextResponse("\n")

    async def version_of_mlflow(request: Request) -> Response:
        return PlainTextResponse(VERSION)

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/health", ping),
            Route("/version", version_of_mlflow),
            Route("/invocations", invocations, methods=["POST"]),
        ]
    )


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
    seconds = MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get()
    kept = _environment(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    app = make_app(load(model), seconds)
    config = bounded_server.config(app, chosen.host, chosen.port, SIZES, seconds=seconds)
    bound = listen(config)
    print(f"{model.name}: POST images to http://{chosen.host}:{chosen.port}/invocations", flush=True)
    EndingServer(config).run(sockets=[bound])


if __name__ == "__main__":
    try:
        with ended_by_signals("server"):  # or SIGTERM would leave the fetched version behind
            main()
    except HeadstartError as error:
        sys.exit(f"error: {error}")
