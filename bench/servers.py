"""A Prefect and an MLflow server on loopback, for as long as a benchmark runs."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 90


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Start both, wait until they answer, and stop them at the end; the environment that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    prefect, tracking = f"http://127.0.0.1:{_port()}", f"http://127.0.0.1:{_port()}"
    quiet = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"{prefect}/api",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "1",
    }
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"} | quiet
    store = f"sqlite:///{folder / 'mlflow.db'}"
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", store], capture_output=True, check=True)
    kept = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    commands = [
        ["prefect", "server", "start", "--port", prefect.rpartition(":")[2]],
        ["mlflow", "server", "--port", tracking.rpartition(":")[2], "--workers", "1", *kept],
    ]
    with (folder / "servers.log").open("w") as log:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", *command],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for command in commands
        ]
        try:
            _wait(f"{prefect}/api/health")
            _wait(f"{tracking}/health")
            yield {"PREFECT_API_URL": f"{prefect}/api", "MLFLOW_TRACKING_URI": tracking}
        finally:
            for process in started:
                os.killpg(process.pid, 15)
                process.wait(20)


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
