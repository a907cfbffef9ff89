"""Run the server of a model until it is interrupted."""

import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from headstart.host import bounded_server, ports
from headstart.host.ending_server import EndingServer, listen
from headstart.versions.registry.uri import ModelUri
from headstart.versions.registry.versions import resolve
from headstart.versions.serving.http.access import BearerTokens, OwnNames
from headstart.versions.serving.http.app import Serving, make_app
from headstart.versions.serving.http.follower import Follower
from headstart.versions.serving.http.live import Live, LiveVersion, probe
from headstart.versions.serving.http.metrics import Counted, Metrics
from headstart.versions.serving.http.settings import SPARE, Settings, tokens_for
from headstart.versions.serving.opening import open_model
from headstart.versions.serving.turns import Turns

BODIES = 4  # of the largest size, held at once
AHEAD = 2  # requests that are worked on per image of a pass: half are decoded while the network runs


def serve(model: str, root: Path | None, settings: Settings, announce: Callable[[str, str], object]) -> None:
    """Answer with a model, and with the version that its alias names from then on.

    Args:
        model: as in `open_model`.
        announce: called with the address and the version once clients can connect.

    Raises:
        HeadstartError: the port cannot be used, there is no such model, or other machines would reach the
            server without a token.
    """
    tokens = tokens_for(settings)
    bounded_server.allow(settings.max_queue + SPARE, "--max-queue")
    ports.check_free(settings.host, settings.port, "--port")
    turns = Turns(AHEAD * settings.max_batch, settings.max_queue, settings.seconds)
    metrics = Metrics()

    def prepare(name: str) -> LiveVersion:
        opened = open_model(name, root)
        probe(opened, settings.max_batch)
        return LiveVersion(opened, settings, metrics, turns.given_up)

    live = Live(prepare(_exact(model)), metrics)
    follower = Follower(live, lambda: resolve(model), prepare, _counter(metrics), settings.follow_seconds)
    app = make_app(Serving(model, live, turns, metrics, lambda: follower.problem, settings.max_images))
    server = config(app, settings, tokens, metrics)
    bound = listen(server)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    announce(f"http://{host}:{bound.getsockname()[1]}", live.current.version)
    if _follows(model):
        follower.start()
    try:
        EndingServer(server).run(sockets=[bound])
    finally:
        follower.end()


def config(app: ASGIApp, settings: Settings, tokens: tuple[str, ...], metrics: Metrics) -> uvicorn.Config:
    """The server's settings: whoever may not ask is refused before the body is read."""
    sizes = bounded_server.Sizes(settings.max_body << 20, BODIES * settings.max_body << 20)
    bounds = settings.connections, settings.seconds
    found = bounded_server.config(app, settings.host, settings.port, sizes, "warning", *bounds)
    guarded: ASGIApp = found.app  # type: ignore[assignment]  # it was given as an app
    if tokens:
        guarded = BearerTokens(guarded, tokens)
    elif settings.is_loopback and not settings.is_open:
        guarded = OwnNames(guarded, settings.host)
    found.app = Counted(guarded, metrics, time.monotonic)
    return found


def _exact(model: str) -> str:
    return resolve(model) if _follows(model) else model


def _follows(model: str) -> bool:
    """Whether a model is named by an alias, and not by the path of a folder or file."""
    return not Path(model).exists() and ModelUri.is_meant(model) and ModelUri.parse(model).alias is not None


def _counter(metrics: Metrics) -> Callable[[str], object]:
    return lambda outcome: metrics.swaps.labels(outcome).inc()
