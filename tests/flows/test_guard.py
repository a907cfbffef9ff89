"""MLflow tells the guard of a promotion made by hand; the flow judges it and puts a bad version back."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import edit_params, repro, run
from servers import free_port, mlflow_server, prefect_server

from headstart.registry import journal, webhooks
from headstart.webhook import secret_in

pytestmark = pytest.mark.server
SECONDS = 240
SERVE = "from flows.promotion import check_champion; check_champion.serve(name='guard')"


@pytest.fixture
def client(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """Versions 1 (champion) and 2 (bad) on a server that calls a guard; Prefect, and the flow served."""
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "1")
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", secret_in(tmp_path / "key"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(repository / "src"), str(repository))))
    (repository / ".gitignore").write_text((repository / ".gitignore").read_text() + "/.services\n")
    with mlflow_server(tmp_path / "mlflow") as tracking, prefect_server(tmp_path / "prefect") as prefect:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
        monkeypatch.setenv("PREFECT_API_URL", f"{prefect}/api")
        edit_params(repository, **{"gate.min_images": 4, "gate.min_class_images": 2, "gate.confidence": 0.5})
        for change in ({}, {"train.lr": 1e-9, "train.epochs": 1, "train.seed": 3}):
            edit_params(repository, **change)
            repro(repository)
            run(repository, str(repository / "bin" / "headstart"), "register")
        port = free_port()
        guard = [str(repository / "bin" / "headstart"), "guard", "--port", str(port)]
        with (
            process([sys.executable, "-c", SERVE], tmp_path / "serve.log"),
            process(guard, tmp_path / "guard.log"),
        ):
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), tmp_path)
            wait_for(lambda: "promotion/guard" in (tmp_path / "serve.log").read_text(), tmp_path)
            yield MlflowClient(tracking, tracking)


@contextmanager
def process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            started.wait(60)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=2).close()
    except OSError:
        return False
    return True


def wait_for(what: Callable[[], bool], folder: Path) -> None:
    until = time.monotonic() + SECONDS
    while not what():
        logs = "".join(path.read_text()[-3000:] for path in folder.glob("*.log"))
        assert time.monotonic() < until, logs
        time.sleep(0.5)


def test_a_bad_version_is_put_back_and_a_removed_alias_is_recorded(
    client: MlflowClient, tmp_path: Path
) -> None:
    def last() -> journal.Change:
        return journal.read(client, "headstart").entries[-1].change

    def champion() -> str | None:
        return client.get_registered_model("headstart").aliases.get("champion")

    client.set_registered_model_alias("headstart", "champion", "2")
    wait_for(lambda: last().kind == "refusal" and champion() == "1", tmp_path)
    wait_for(lambda: "promotion.refused" in client.get_model_version("headstart", "2").tags, tmp_path)
    client.delete_registered_model_alias("headstart", "champion")
    wait_for(lambda: last().kind == "removal", tmp_path)
    client.set_registered_model_alias("headstart", "champion", "1")
    wait_for(lambda: last().kind == "promotion" and last().verdict == "passed", tmp_path)
    assert champion() == "1"
    kinds = [entry.change.kind for entry in journal.read(client, "headstart").entries]
    assert kinds == ["promotion", "refusal", "removal", "promotion"]

    webhooks.subscribe("http://127.0.0.1:1/mlflow", "another")  # once, however often
    [found] = client.list_webhooks()
    assert found.url == "http://127.0.0.1:1/mlflow"
    secret = Path(".services/guard.secret")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in (tmp_path / "guard.log").read_text()
