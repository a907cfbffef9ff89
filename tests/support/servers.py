"""A Prefect and an MLflow server on loopback, for as long as a test or a benchmark runs."""

import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

START_SECONDS = 180


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Start both, wait until they answer, and stop them at the end; the environment that names them."""
    with mlflow_server(folder) as tracking, prefect_server(folder) as prefect:
        yield {"PREFECT_API_URL": f"{prefect}/api", "MLFLOW_TRACKING_URI": tracking}


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A tracking server whose files lie in `folder`; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"http://127.0.0.1:{free_port()}"
    store = f"sqlite:///{folder / 'mlflow.db'}"
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "1",
    }
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", store], capture_output=True, check=True)
    command = ["mlflow", "server", "--port", address.rpartition(":")[2], "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    with _running(command, quiet, folder / "mlflow.log", f"{address}/health"):
        yield address


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """A Prefect server whose home is `folder`/prefect; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"http://127.0.0.1:{free_port()}"
    quiet = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "DO_NOT_TRACK": "1",
    }
    command = ["prefect", "server", "start", "--port", address.rpartition(":")[2]]
    with _running(command, quiet, folder / "prefect.log", f"{address}/api/health"):
        yield address


@functools.cache
def shared_prefect() -> str:
    """A Prefect server for all flows of this process that name none: each would start one, in 8 s."""
    stack = ExitStack()
    atexit.register(stack.close)
    address = stack.enter_context(prefect_server(Path(stack.enter_context(TemporaryDirectory()))))
    return f"{address}/api"


@contextmanager
def _running(command: list[str], settings: dict[str, str], log: Path, health: str) -> Iterator[None]:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment | settings,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(health)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@contextmanager
def in_thread(config: uvicorn.Config) -> Iterator[int]:
    """Run a server in a thread of this process; its port."""
    with socket.socket() as listener:
        listener.bind((config.host, 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(address: str) -> None:
    """Return when something answers there."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
