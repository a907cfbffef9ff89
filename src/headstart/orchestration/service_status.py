"""`headstart services status`: which services of this machine run, since when, and whether they answer."""

import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

from headstart.host.owner import start_time
from headstart.orchestration.services import Service, is_alive, log_path, online, recorded

EXPECTED = ("prefect", "mlflow", "worker cpu", "worker guard", "guard")  # with a GPU, its worker too
HEALTH = {"prefect": "/api/health", "mlflow": "/health", "guard": "/health"}
SECONDS = 3.0
COLUMNS = ("SERVICE", "STATE", "PID", "SINCE", "ADDRESS", "LOG")

State = Literal["healthy", "not answering", "not running"]


@dataclass(frozen=True)
class ServiceStatus:
    """The state of one service.

    Attributes:
        pid, since: None unless it runs; `since` is ISO 8601 with the offset of this machine's zone.
        address: None for a worker, and for a server that was not started.
        log: the file it writes to, relative to the project.
        problem: why it does not answer; None if it does, or does not run.
    """

    name: str
    state: State
    pid: int | None
    since: str | None
    address: str | None
    log: str
    problem: str | None = None


@dataclass(frozen=True)
class Overview:
    """All services that were started here, and those that `headstart services start` would start."""

    services: tuple[ServiceStatus, ...]

    @property
    def are_healthy(self) -> bool:
        return all(service.state == "healthy" for service in self.services)

    def as_dict(self) -> dict[str, Any]:
        """The states for programs."""
        return {
            "healthy": self.are_healthy,
            "services": [asdict(service) for service in self.services],
        }

    def as_text(self) -> str:
        """A table for a terminal, and what to do if something is not healthy."""
        rows = [COLUMNS, *(_row(service) for service in self.services)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += [f"{each.name}: {each.problem}" for each in self.services if each.problem]
        if not self.are_healthy:
            lines.append("`headstart services start` starts what is not running; the logs show why one ended")
        return "\n".join(lines)


def overview() -> Overview:
    """Ask every service of this project's `.services`; nothing is started, ended or written."""
    services = recorded()
    names = [service.name for service in services]
    missing = [name for name in EXPECTED if name not in names]
    prefect = next((service.address for service in services if service.name == "prefect"), "")
    with ThreadPoolExecutor(max(len(services), 1)) as pool:
        found = list(pool.map(lambda service: _status(service, prefect), services))
    return Overview((*found, *(_not_running(name) for name in missing)))


def _status(service: Service, prefect: str) -> ServiceStatus:
    address = service.address or None
    if not is_alive(service):
        return _not_running(service.name, address)
    problem = _problem(service, prefect)
    since = start_time(service.started)
    return ServiceStatus(
        name=service.name,
        state="not answering" if problem else "healthy",
        pid=service.pid,
        since=since.astimezone().isoformat(timespec="seconds") if since else None,
        address=address,
        log=str(log_path(service.name)),
        problem=problem,
    )


def _not_running(name: str, address: str | None = None) -> ServiceStatus:
    return ServiceStatus(name, "not running", None, None, address, str(log_path(name)))


def _problem(service: Service, prefect: str) -> str | None:
    """Why a running service is of no use; None if it answers, or Prefect has heard from it."""
    try:
        if service.name in HEALTH:
            urllib.request.urlopen(f"{service.address}{HEALTH[service.name]}", timeout=SECONDS).close()
            return None
        worker = service.name.removeprefix("worker ")
        if worker in online(prefect, _pool_of(worker), SECONDS):
            return None
        return "Prefect has not heard from it for a while"
    except (OSError, ValueError) as error:  # a ValueError if what answers is another program
        return f"{service.address or prefect} does not answer as it should ({error})"


def _pool_of(worker: str) -> str:
    """The work pool of a worker, by its name."""
    return "gpu" if worker.startswith("gpu-") else worker


def _row(service: ServiceStatus) -> Sequence[str]:
    since = (service.since or "")[:19].replace("T", " ")  # without the zone
    return (
        service.name,
        service.state,
        str(service.pid or ""),
        since,
        service.address or "",
        service.log,
    )
