"""Run the server of a model until it is interrupted."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from headstart.host import bounded_server, freed_memory, ports
from headstart.host.ending_server import EndingServer, listen
from headstart.versions.registry.uri import ModelUri
from headstart.versions.registry.versions import resolve
from headstart.versions.serving.http.access import BearerTokens, OwnNames
from headstart.versions.serving.http.app import Serving, make_app
from headstart.versions.serving.http.card import card_of
from headstart.versions.serving.http.follower import Follower
from headstart.versions.serving.http.live import Live, LiveVersion, PageParts, probe
from headstart.versions.serving.http.looking import Looking
from headstart.versions.serving.http.metrics import Counted, Metrics
from headstart.versions.serving.http.request_ids import RequestIds
from headstart.versions.serving.http.settings import Settings, tokens_for
from headstart.versions.serving.http.trying import explaining_turns
from headstart.versions.serving.kept.keeping import Keeping
from headstart.versions.serving.opening import open_model
from headstart.versions.serving.settings import Serve
from headstart.versions.serving.turns import Turns

BODIES = 4  # of the largest size, held at once
NOTHING_KEPT = Serve()
AHEAD = 2  # requests that are worked on per image of a pass: half are decoded while the network runs


def serve(
    model: str,
    root: Path | None,
    settings: Settings,
    announce: Callable[[str, str], object],
    kept: Serve = NOTHING_KEPT,
) -> None:
    """Answer with a model, and with the version that its alias names from then on.

    Args:
        model: as in `open_model`.
        kept: which share of requests is kept, and where.
        announce: called with the address and the version once clients can connect.

    Raises:
        HeadstartError: the port or the folder of kept answers cannot be used, there is no such model, or
            other machines would reach the server without a token.
    """
    tokens = tokens_for(settings)
    bounded_server.allow(settings.connections_needed, "--max-queue")
    ports.check_free(settings.host, settings.port, "--port")
    turns = Turns(AHEAD * settings.max_batch, settings.max_queue, settings.seconds)
    metrics = Metrics()
    keeping = keeping_of(kept, metrics)

    def prepare(name: str) -> LiveVersion:
        opened = open_model(name, root)
        probe(opened, settings.max_batch)
        page = PageParts(card_of(opened), Looking(opened, root, settings.is_open))
        return LiveVersion(opened, settings, metrics, turns.given_up, page)

    live = Live(prepare(_exact(model)), metrics)
    follower = Follower(live, lambda: resolve(model), prepare, _counter(metrics), settings.follow_seconds)
    serving = Serving(
        model=model,
        live=live,
        turns=turns,
        explaining=explaining_turns(settings.seconds),
        metrics=metrics,
        problem=lambda: follower.problem,
        most=settings.max_images,
        keeping=keeping,
    )
    app = make_app(serving)
    server = config(app, settings, tokens, metrics)
    bound = listen(server)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    announce(f"http://{host}:{bound.getsockname()[1]}", live.current.version)
    if _follows(model):
        follower.start()
    try:
        with freed_memory.given_back(), nullcontext() if keeping is None else keeping.running():
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
    found.app = RequestIds(Counted(guarded, metrics, time.monotonic))
    return found


def keeping_of(kept: Serve, metrics: Metrics) -> Keeping | None:
    """Keeping of a share of requests, counted in the metrics; None if none are kept.

    Raises:
        HeadstartError: the folder cannot be used.
    """
    if not kept.keep:
        return None
    return Keeping(kept, Path(kept.folder), lambda outcome, count: metrics.kept.labels(outcome).inc(count))


def _exact(model: str) -> str:
    return resolve(model) if _follows(model) else model


def _follows(model: str) -> bool:
    """Whether a model is named by an alias, and not by the path of a folder or file."""
    return not Path(model).exists() and ModelUri.is_meant(model) and ModelUri.parse(model).alias is not None


def _counter(metrics: Metrics) -> Callable[[str], object]:
    return lambda outcome: metrics.swaps.labels(outcome).inc()
