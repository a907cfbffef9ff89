"""`make services`: run both servers, the guard and workers with their own clones on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from headstart.errors import HeadstartError, without_password
from headstart.ground.files import write_json
from headstart.ground.reading import load_json, reading
from headstart.host.owner import started
from headstart.host.ports import check_free
from headstart.host.project import QUIET
from headstart.orchestration.prefect_api import ANSWER_SECONDS, PREFECT_PASSWORD, ask
from headstart.orchestration.retired import CHECK, find_retired, remove
from headstart.repository import remote_name
from headstart.repository.settings import SEND

FOLDER = Path(".services")
LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
AUTOMATIONS = Path("automations.yaml")
STATE = FOLDER / "processes.json"
OWN_FOLDER, OWN_UMASK = 0o700, 0o077  # what services write is for their owner alone, as under systemd
START_SECONDS = 120
STOP_SECONDS = 20
HOST = "127.0.0.1"
PREFECT_DATABASES = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
MLFLOW_DATABASE = "MLFLOW_BACKEND_STORE_URI"
PREFECT_PORT, MLFLOW_PORT, GUARD_PORT = 4200, 5000, 4300


@dataclass(frozen=True)
class Service:
    """A process that was started here; `started` distinguishes it from a later one with the same id.

    Attributes:
        address: the URL it answers at, "" for a worker.
        sends: what HEADSTART_PUSH_REFS is for a worker, "" for others and for workers of an earlier version.
    """

    name: str
    pid: int
    started: str
    address: str
    sends: str = ""


def start(gpus: str, prefect_port: int, mlflow_port: int, guard_port: int) -> str:
    """Start every service that is not running, wait until all are healthy, and create the deployments.

    Args:
        gpus: `auto` for one worker per GPU of this machine; `cpu` for one GPU-pool worker without a GPU, to
            try placement; `none` for no such worker.

    Returns:
        The addresses, one per line.

    Raises:
        HeadstartError: a port is taken, a server runs at another one, or a service does not start; the
            services started by this call are stopped again.
    """
    make_own_folder()
    ports = {"prefect": prefect_port, "mlflow": mlflow_port, "guard": guard_port}
    running = {service.name for service in recorded() if is_alive(service)}
    for name, port in ports.items():
        if name not in running:
            check_free(HOST, port, f"--{name}-port")
    before = [service for service in recorded() if is_alive(service)]
    _write(before)
    settings = _settings(prefect_port, mlflow_port)
    try:
        addresses = _start_all(gpus, settings, prefect_port, mlflow_port, guard_port)
    except BaseException:
        for service in reversed(recorded()):
            if service not in before:
                _end(service)
        _write(before)
        raise
    return "\n".join(f"{name:<15}{address}" for name, address in addresses.items())


def make_own_folder() -> None:
    """Make the folder of the services, which its owner alone may read: databases in it hold secrets."""
    FOLDER.mkdir(mode=OWN_FOLDER, exist_ok=True)
    FOLDER.chmod(OWN_FOLDER)


def stop() -> list[str]:
    """Stop exactly those services that `start` started, workers first, and return their names."""
    ended = []
    for service in reversed(recorded()):
        if is_alive(service):
            _end(service)
            ended.append(service.name)
    STATE.unlink(missing_ok=True)
    return ended


def _start_all(
    gpus: str, settings: Mapping[str, str], prefect_port: int, mlflow_port: int, guard_port: int
) -> dict[str, str]:
    prefect, tracking = f"http://{HOST}:{prefect_port}", f"http://{HOST}:{mlflow_port}"
    python = [sys.executable, "-m"]
    _spawn(
        "prefect",
        [*python, "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)],
        {**settings, **_databases(*PREFECT_DATABASES)},
        address=prefect,
    )
    own = {name: value for name, value in settings.items() if name != "MLFLOW_TRACKING_URI"}
    stored = {**_databases(MLFLOW_DATABASE), **_webhook_settings()}
    _spawn("mlflow", ["sh", "mlflow/serve-ui"], {**own, **stored}, address=tracking)
    _wait(f"{prefect}/api/health", "prefect")
    _wait(f"{tracking}/health", "mlflow")
    cards = _cards(gpus)
    for pool in ("cpu", "gpu", "guard"):
        _create_pool(pool, settings, is_paused=pool == "gpu" and not cards and not _has_gpu_worker())
    _report("creating the deployments of prefect.yaml")
    _run([*python, "prefect", "--no-prompt", "deploy", "--all"], settings)
    _remove_retired(prefect)
    _create_automations(prefect, settings)
    if told := os.environ.get("HEADSTART_NOTIFY"):
        _run([*python, "headstart.orchestration.notifications"], settings)
    placement = {"HEADSTART_PLACEMENT": "stage/gpu"} if cards else {}
    _start_worker("cpu", "cpu", {**settings, **placement, "CUDA_VISIBLE_DEVICES": ""})
    for name, visible in cards.items():
        _start_worker(name, "gpu", {**settings, "CUDA_VISIBLE_DEVICES": visible})
    _start_worker("guard", "guard", {**settings, "CUDA_VISIBLE_DEVICES": ""})
    _start_guard(guard_port, settings)
    workers = ["cpu", *cards, "guard"]
    expected = {"cpu": 1, "gpu": len(cards), "guard": 1}
    for pool, count in expected.items():
        _wait_for_workers(prefect, pool, count)
    return {
        "Prefect": prefect,
        "MLflow": tracking,
        "Logs": str(FOLDER.resolve() / "logs"),
        "Guard": f"http://{HOST}:{guard_port}",
        "Workers": ", ".join(workers),
        "Git refs": _sent_to(workers, settings),
        "To use them": f"export PREFECT_API_URL={prefect}/api MLFLOW_TRACKING_URI={tracking}",
        "Notifications": urlsplit(told).hostname or "on"
        if told
        else "off (set HEADSTART_NOTIFY to a webhook URL)",
    }


def _remove_retired(prefect: str) -> None:
    """Remove deployments of an earlier version, and end its guard, which has no check of its own.

    The guard ends first: after a kill in between, the next start finds the deployment again and ends it.
    """
    if not (found := find_retired(prefect)):
        return
    if CHECK in found:
        _end_named("guard")
    remove(prefect, found)
    _report(f"removed deployments of an earlier version: {', '.join(found)}")


def _create_pool(pool: str, settings: Mapping[str, str], *, is_paused: bool) -> None:
    """Create or update a work pool. One without workers is paused: Prefect shows others as not ready, in red.

    A pool that does not exist would be no better: `prefect deploy --all` fails at deployments that name it.
    """
    command = [sys.executable, "-m", "prefect", "work-pool", "create", pool, "--type", "process"]
    _run([*command, "--overwrite", *(["--paused"] if is_paused else [])], settings)


def _has_gpu_worker() -> bool:
    return any(service.name.startswith("worker gpu-") and is_alive(service) for service in recorded())


def _webhook_settings() -> dict[str, str]:
    """Settings that allow MLflow to call the guard, on loopback and over HTTP."""
    return {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "5",
    }


def _start_guard(port: int, settings: Mapping[str, str]) -> None:
    source = os.pathsep.join((str(Path("src").resolve()), str(Path.cwd())))
    command = [sys.executable, "-m", "headstart.orchestration.guard", "--port", str(port)]
    address = f"http://{HOST}:{port}"
    _spawn("guard", command, {**settings, "PYTHONPATH": source}, address=address)
    _wait(f"{address}/health", "guard")


def _create_automations(prefect: str, settings: Mapping[str, str]) -> None:
    """Create the automations of automations.yaml that do not exist yet, going by their names.

    One that waits for another number of seconds than the file says is made again.
    """
    with reading(AUTOMATIONS, "correct it, or restore it with `git checkout`"):
        wanted = YAML(typ="safe", pure=True).load(AUTOMATIONS)["automations"]
    there = {found["name"]: found for found in ask(f"{prefect}/api/automations/filter")}
    for automation in wanted:
        old = there.get(automation["name"])
        if old is not None and old["trigger"].get("within") != automation["trigger"].get("within"):
            ask(f"{prefect}/api/automations/{old['id']}", "DELETE")
            del there[automation["name"]]
    if missing := [automation for automation in wanted if automation["name"] not in there]:
        text = json.dumps({"automations": missing})
        _run([sys.executable, "-m", "prefect", "automation", "create", "--from-json", text], settings)


def _settings(prefect_port: int, mlflow_port: int) -> dict[str, str]:
    """The environment of every service, without the databases: only the servers get their passwords."""
    hidden = {*_databases(*PREFECT_DATABASES, MLFLOW_DATABASE)}
    given = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_API_") and name not in hidden
    }
    given["PYTHONPATH"] = str(Path.cwd())
    if password := given.get(PREFECT_PASSWORD):
        given["PREFECT_API_AUTH_STRING"] = password
    home = FOLDER.resolve() / "prefect"
    return {
        **QUIET,
        **given,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://{HOST}:{prefect_port}/api",
        "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{prefect_port}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # In memory, as is the default, a restart of the server would end each running flow that has a limit.
        LEASES: given.get(LEASES, "prefect.server.concurrency.lease_storage.filesystem"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "HEADSTART_RETRIES": given.get("HEADSTART_RETRIES", "3"),
        SEND: given.get(SEND, "1"),  # for the guard, and for a worker that takes up where another ended
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{mlflow_port}",
        "PORT": str(mlflow_port),
        "HEADSTART_PYTHON": sys.executable,
    }


def _databases(*names: str) -> dict[str, str]:
    """Those of a server's database settings that are set; without them it uses SQLite."""
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _start_worker(name: str, pool: str, settings: Mapping[str, str]) -> None:
    clone = _clone(name)
    branch = _git("branch", "--show-current") or "main"
    environment = {
        **settings,
        "HEADSTART_CLONE": str(clone),
        "HEADSTART_BRANCH": branch,
        "HEADSTART_PROJECT": str(Path.cwd()),  # whose servers keep requests
        "PYTHONPATH": os.pathsep.join((str(clone / "src"), str(clone))),
    }
    command = [
        sys.executable,
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        pool,
        "--name",
        name,
        "--limit",
        "1",
    ]
    _spawn(f"worker {name}", command, environment, clone, sends=settings[SEND])


def _clone(name: str) -> Path:
    """The project in a clone for one worker, sharing the DVC cache; it is kept for the next start."""
    from headstart.repository import project_folder
    from headstart.repository.fresh_clone import share_dvc

    clone = _folder_of(name)
    if not clone.exists():
        _git("clone", "--quiet", _git("rev-parse", "--show-toplevel"), str(clone))
    project = clone / project_folder()
    share_dvc(project)
    return project


def _sent_to(workers: Sequence[str], settings: Mapping[str, str]) -> str:
    """Where the refs of the workers' runs go, for the person who starts them."""
    if settings[SEND] != "1":
        return f"stay in the workers' clones ({SEND} is {settings[SEND]!r}), unless params.yaml has them sent"
    remotes = {_remote_of(_folder_of(name)) for name in workers}
    shown = " and ".join(sorted(without_password(remote) for remote in remotes))
    return f"of the workers' runs, versions and data are sent to git remote {shown} ({SEND}=0: nowhere)"


def _remote_of(clone: Path) -> str:
    """The address that the runs of a clone send their refs to."""
    name = remote_name(clone)
    return _git("remote", "get-url", name, folder=clone) if name else "none"


def _cards(gpus: str) -> dict[str, str]:
    """Workers of the GPU pool: the devices each sees, by its name."""
    if gpus == "none":
        return {}
    if gpus == "cpu":
        return {"gpu-none": ""}
    tool = shutil.which("nvidia-smi")
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True).stdout.splitlines() if tool else []
    return {f"gpu-{index}": str(index) for index in range(len(listed))}


def _spawn(
    name: str,
    command: list[str],
    environment: Mapping[str, str],
    folder: Path | None = None,
    address: str = "",
    sends: str = "",
) -> None:
    """Start a service, unless it is running."""
    if running := [service for service in recorded() if service.name == name]:
        if running[0].address != address:
            raise HeadstartError(f"{name} runs at {running[0].address}; `make services-stop` ends it")
        as_now = running[0].sends or "1"  # workers of an earlier version always send
        if sends and as_now != sends:
            raise HeadstartError(
                f"{name} runs with {SEND}={as_now}, not {sends}; `make services-stop` ends it"
            )
        return
    path = log_path(name)
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=OWN_UMASK,
        )
    _write([*recorded(), Service(name, process.pid, started(process.pid), address, sends)])


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        raise HeadstartError(f"{' '.join(command[2:6])}: {(done.stdout + done.stderr).strip()[-2000:]}")


def _wait(address: str, name: str) -> None:
    _report(f"waiting for {name} at {address}")
    until = time.monotonic() + START_SECONDS
    while True:
        _check_alive(name)
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise HeadstartError(
                    f"{name} does not answer at {address}: {error}; {_log_of(name)}"
                ) from error
            time.sleep(0.3)


def _wait_for_workers(prefect: str, pool: str, count: int) -> None:
    if count:
        _report(f"waiting for {count} worker(s) of pool {pool}")
    until = time.monotonic() + START_SECONDS
    while count > len(found := online(prefect, pool)):
        for service in recorded():
            _check_alive(service.name)
        if time.monotonic() > until:
            raise HeadstartError(
                f"pool {pool}: {len(found)} of {count} workers came online; {FOLDER}/logs show why"
            )
        time.sleep(0.5)


def online(prefect: str, pool: str, seconds: float = ANSWER_SECONDS) -> list[str]:
    """Names of the workers of a pool that have reported to the Prefect server lately."""
    workers = ask(f"{prefect}/api/work_pools/{pool}/workers/filter", seconds=seconds)
    return [worker["name"] for worker in workers if worker["status"] == "ONLINE"]


def _report(text: str) -> None:
    print(f"services: {text}", file=sys.stderr, flush=True)


def _check_alive(name: str) -> None:
    for service in recorded():
        if service.name == name and not is_alive(service):
            raise HeadstartError(f"{name} exited at startup; {_log_of(name)}")


def log_path(name: str) -> Path:
    """The file that a service writes its log to."""
    return FOLDER / "logs" / f"{name.replace(' ', '-')}.log"


def _log_of(name: str) -> str:
    path = log_path(name)
    last = path.read_text(errors="replace").splitlines()[-5:] if path.exists() else []
    return "\n".join([f"{path}:", *last])


def _end(service: Service) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(service.pid, sign)
        except ProcessLookupError:
            return
        until = time.monotonic() + STOP_SECONDS
        while is_alive(service):
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        else:
            return


def _end_named(name: str) -> None:
    for service in recorded():
        if service.name == name:
            _end(service)
    _write([service for service in recorded() if service.name != name])


def recorded() -> list[Service]:
    """The services that were started here and not stopped since; some may have ended by themselves."""
    if not STATE.exists():
        return []
    advice = "stop the processes that `ps` shows by hand, then delete it"
    with reading(STATE, advice):
        return [Service(**entry) for entry in load_json(STATE, advice, list)]


def _write(services: list[Service]) -> None:
    write_json(STATE, [asdict(service) for service in services])


def is_alive(service: Service) -> bool:
    """Whether the process of a service still runs."""
    _reap(service.pid)
    return started(service.pid) == service.started != ""


def _reap(pid: int) -> None:
    """Reap a child of this process: after its end it stays a zombie until it is waited for."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _folder_of(worker: str) -> Path:
    return FOLDER.resolve() / "clones" / worker


def _git(*arguments: str, folder: Path | None = None) -> str:
    from headstart.repository.programs import git_line

    return git_line(*arguments, folder=folder)
