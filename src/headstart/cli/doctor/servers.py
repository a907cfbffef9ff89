"""Checks of servers: MLflow, Prefect, and the ports of services on this machine."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from headstart.cli.doctor.examination import Check, Finding, error, ok, warning
from headstart.errors import HeadstartError, without_password
from headstart.host.ports import check_free, reach
from headstart.orchestration import services
from headstart.orchestration.prefect_api import ask
from headstart.orchestration.prefect_server import server_address

SECONDS = 3.0
DATABASE = Path("mlflow/mlflow.db")
PORTS = {
    "prefect": services.PREFECT_PORT,
    "mlflow": services.MLFLOW_PORT,
    "guard": services.GUARD_PORT,
}


def mlflow() -> Finding:
    """The tracking server that MLFLOW_TRACKING_URI names."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        state = "" if DATABASE.exists() else ", not made yet"
        return ok(f"no server is named: the database {DATABASE}{state}")
    address = without_password(uri).rstrip("/")
    if uri.startswith("http"):
        return _answer(
            "mlflow", address, lambda: _get(f"{address}/health"), lambda: _get(f"{address}/version")
        )
    if uri.startswith("sqlite:"):
        return ok(address)
    try:
        reach(uri if urlsplit(uri).port else f"{uri.partition('://')[0]}://{urlsplit(uri).hostname}:5432")
    except OSError as wrong:
        return error(f"nothing answers at {address} ({wrong})", "start the database")
    return ok(f"{address} answers")


def prefect() -> Finding:
    """The Prefect server that the environment or Prefect's profile names."""
    address, source = server_address()
    if not address:
        return ok("no server is named: each flow starts a temporary one")
    shown = f"{without_password(address).rstrip('/')}"
    found = _answer(
        "prefect",
        shown,
        lambda: ask(f"{shown}/health", "GET", SECONDS),
        lambda: ask(f"{shown}/admin/version", "GET", SECONDS),
    )
    return Finding(found.status, f"{found.found}; named by {source}", found.mend)


def ports() -> Finding:
    """The ports that `headstart services start` uses: free, or held by these services."""
    ours = {service.name for service in services.recorded() if services.is_alive(service)}
    found, wrong = [], []
    for name, port in PORTS.items():
        if name in ours:
            found.append(f"{port} {name}, ours")
            continue
        try:
            check_free(services.HOST, port, f"--{name}-port")
            found.append(f"{port} free")
        except HeadstartError:
            found.append(f"{port} taken by another program")
            wrong.append(f"--{name}-port PORT")
    said = ", ".join(found)
    if not wrong:
        return ok(said)
    return warning(said, f"headstart services start {' '.join(wrong)}, or end that program")


def _answer(
    package: str, address: str, health: Callable[[], object], newest: Callable[[], object]
) -> Finding:
    """Whether a server is healthy, and of the version that is installed here."""
    start = "make services, make ui for MLflow alone, or correct the address"
    try:
        health()
    except (OSError, ValueError) as wrong:
        return error(f"{address} does not answer as it should ({wrong})", start)
    here = version(package)
    try:
        there = str(newest())
    except urllib.error.HTTPError as refused:
        if refused.code in (401, 403):
            return ok(f"{address} answers; its version is shown to its users only")
        return warning(f"{address} answers, but names no version ({refused})", "is it the right server?")
    if there != here:
        return warning(
            f"{address} answers with version {there}, {here} is installed here", "make install there"
        )
    return ok(f"{address} answers, version {there}")


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=SECONDS) as answer:
        text: str = answer.read(1000).decode(errors="replace").strip()
    return text


CHECKS: dict[str, Check] = {"MLflow": mlflow, "Prefect": prefect, "ports": ports}
