"""The guard: MLflow's signed webhooks and a regular check start the promotion flow (`headstart guard`)."""

import argparse
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from headstart.errors import without_password
from headstart.ground import paths
from headstart.host import bounded_server
from headstart.host.ending_server import EndingServer, listen
from headstart.host.project import enter_tree
from headstart.orchestration import guard_check
from headstart.orchestration.guard_check import DEPLOYMENT, start_promotion
from headstart.orchestration.webhook import Deliveries, WebhookRefused, secret_in, verify
from headstart.versions.registry.versions import CHAMPION

SECRET, DELIVERIES = Path(".services/guard.secret"), Path(".services/deliveries.db")
SIZES = bounded_server.Sizes(body=64 << 10, bodies=4 << 20)
DAY = 86400
LOG = logging.getLogger("uvicorn.error")  # MLflow's own log gives no reason for a failed delivery


def make_app(secret: str, deliveries: Deliveries, model: str, start: Callable[[], str]) -> FastAPI:
    """The receiver as a FastAPI app.

    Args:
        model: the registered model whose champion is guarded.
        start: starts the promotion flow and returns the run's id.
    """
    app = FastAPI(openapi_url=None)

    @app.get("/health")
    def health() -> str:
        return "OK"

    @app.post("/mlflow")
    async def receive(request: Request) -> dict[str, str]:
        body = await request.body()
        now = time.time()
        try:
            delivery = verify(secret, request.headers, body, now)
            deliveries.take(delivery, now)
        except WebhookRefused as error:
            raise _refused(401, str(error)) from error
        try:
            event = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _refused(400, f"the delivery is not JSON: {error}") from error
        if not _is_about(event, model):
            return {"ignored": f"not the alias {CHAMPION} of {model}"}
        try:
            return {"started": await run_in_threadpool(start)}
        except Exception as error:  # MLflow sends it again
            deliveries.forget(delivery)
            LOG.error("%s could not be started: %s", DEPLOYMENT, error)
            said = without_password(f"{DEPLOYMENT} could not be started: {error}")
            raise HTTPException(503, said) from error

    return app


def _refused(status: int, text: str) -> HTTPException:
    LOG.warning("refused: %s", text)
    return HTTPException(status, text)


def _is_about(event: Any, model: str) -> bool:
    """Whether an event concerns the model's champion; aliases are case-sensitive, so `Champion` does not."""
    match event:
        case {"entity": "model_version_alias", "data": {"name": name, "alias": alias}}:
            return bool(name == model and alias == CHAMPION)
    return False


def configure(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    """Settings of the receiver's server, which no client can exhaust."""
    return bounded_server.config(app, host, port, SIZES, "warning")


def main() -> None:
    """Register the webhook, then serve the receiver and check regularly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4300)
    parser.add_argument("--url", help="the address MLflow is to call; default: http://HOST:PORT/mlflow")
    parser.add_argument("--every", type=float, default=guard_check.SECONDS, help="seconds between checks")
    chosen = parser.parse_args()
    if not 1 <= chosen.every <= DAY:
        parser.error(f"--every {chosen.every:g}: expected 1 to {DAY} seconds")
    if chosen.url is None and chosen.host in ("0.0.0.0", "::"):
        parser.error(f"--host {chosen.host} is every address of this machine: give MLflow one with --url")
    enter_tree()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 14 s, then the reason is reported
    from headstart.params import load_params, note_on_defaults
    from headstart.versions.registry import webhooks
    from headstart.versions.release import journal

    secret = secret_in(SECRET)
    params = load_params(paths.PARAMS)
    if note := note_on_defaults(paths.PARAMS, params, {"register"}):
        print(note, file=sys.stderr, flush=True)
    model = params.register_.model
    app = make_app(secret, Deliveries(DELIVERIES), model, start_promotion)
    config = configure(app, chosen.host, chosen.port)
    bound = listen(config)  # first: if the port is taken, its owner's webhook is left alone
    webhooks.subscribe(chosen.url or f"http://{chosen.host}:{chosen.port}/mlflow", secret)

    def differs() -> bool:  # params.yaml may name another model by now
        return journal.differs(load_params(paths.PARAMS).register_.model)

    stop = threading.Event()
    threading.Thread(
        target=guard_check.check_regularly,
        args=(differs, guard_check.start_if_idle, chosen.every, stop),
        name="check",
        daemon=True,  # a check that waits for a server must not keep the process alive
    ).start()
    EndingServer(config).run(sockets=[bound])
    stop.set()


if __name__ == "__main__":
    from headstart.errors import HeadstartError

    try:
        main()
    except HeadstartError as error:
        raise SystemExit(f"headstart guard: error: {error}") from error
