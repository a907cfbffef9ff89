"""MLflow notifies the guard of a promotion by hand; the flow judges it and reverts a bad one.

The tests follow one another, since guard, servers and versions take minutes to start.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import end
from projects import edit_params, headstart, repro, run
from servers import free_port, mlflow_server, prefect_server

from headstart.orchestration.webhook import secret_in
from headstart.versions.registry import webhooks
from headstart.versions.release import journal

pytestmark = pytest.mark.server
SECONDS = 240
SERVE = "from flows.promotion import check_champion; check_champion.serve(name='guard')"


@dataclass
class Guarded:
    """Versions 1 (champion) and 2 (bad) on a server that calls a guard, with Prefect serving the flow."""

    root: Path
    folder: Path
    client: MlflowClient
    guard: "subprocess.Popen[bytes]"
    command: list[str]
    environment: dict[str, str]

    def promote_by_hand(self, number: str) -> None:
        self.client.set_registered_model_alias("headstart", "champion", number)

    def champion(self) -> str | None:
        return self.client.get_registered_model("headstart").aliases.get("champion")

    def tags(self, number: str) -> dict[str, str]:
        return dict(self.client.get_model_version("headstart", number).tags)

    def changes(self) -> list[journal.Change]:
        return [entry.change for entry in journal.read(self.client, "headstart").entries]

    def wait_for(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + SECONDS
        while not what():
            logs = "".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))
            assert time.monotonic() < until, logs
            time.sleep(0.5)

    def judged(self) -> list[str]:
        """Final states of all runs that found something to judge, in order.

        The guard's own check may come between a change and its webhook: one of the two runs then finds
        nothing to do any more.
        """
        return [name for name in self.finished() if name != "Unchanged"]

    def finished(self) -> list[str]:
        """Wait for all runs of the flow to end, and return their final states in order."""
        with get_client(sync_client=True) as prefect:
            while True:
                states = [run.state for run in sorted(prefect.read_flow_runs(), key=lambda run: run.created)]
                if all(state is not None and state.is_final() for state in states):
                    return [str(state.name) for state in states if state]
                time.sleep(0.5)


@pytest.fixture(scope="module")
def running(common: Path, common_repository: Path) -> Iterator[Guarded]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(common_repository)
        yield from start_guarded(common_repository, common, patch)


@pytest.fixture
def guarded(running: Guarded, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """The guard, its servers and versions: started once, and left by each test to the next."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(running.root)
    return running


def start_guarded(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "1")
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", secret_in(tmp_path / "key"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(repository / "src"), str(repository))))
    (repository / ".gitignore").write_text((repository / ".gitignore").read_text() + "/.services\n")
    with mlflow_server(tmp_path / "mlflow") as tracking, prefect_server(tmp_path / "prefect") as prefect:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
        monkeypatch.setenv("PREFECT_API_URL", f"{prefect}/api")
        make_versions(repository)
        port = free_port()
        guard = [str(repository / "bin" / "headstart"), "guard", "--port", str(port)]
        with (
            temporary_settings({PREFECT_API_URL: f"{prefect}/api"}),
            process([sys.executable, "-c", SERVE], tmp_path / "serve.log"),
            process(guard, tmp_path / "guard.log") as started,
        ):
            environment = {"MLFLOW_TRACKING_URI": tracking, "PREFECT_API_URL": f"{prefect}/api"}
            client = MlflowClient(tracking, tracking)
            found = Guarded(repository, tmp_path, client, started, guard, environment)
            found.wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"))
            found.wait_for(lambda: "promotion/guard" in (tmp_path / "serve.log").read_text())
            yield found


def make_versions(root: Path) -> None:
    edit_params(root, **{"gate.min_images": 4, "gate.min_class_images": 2, "gate.confidence": 0.5})
    edit_params(root, **{f"gate.{name}": None for name in ("mirror", "brightness", "shift", "encoding")})
    for change in ({}, {"train.lr": 1e-9, "train.epochs": 1, "train.seed": 3}):
        edit_params(root, **change)
        repro(root)
        headstart(root, "register")


@contextmanager
def process(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("w") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        try:
            yield started
        finally:
            end(started)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=2).close()
    except OSError:
        return False
    return True


def test_a_bad_version_set_by_hand_is_put_back_at_once(guarded: Guarded) -> None:
    guarded.promote_by_hand("2")
    guarded.wait_for(lambda: "promotion.refused" in guarded.tags("2") and guarded.champion() == "1")
    assert guarded.changes()[-1].kind == "refusal"
    assert "Promotion refused" in guarded.client.get_model_version("headstart", "2").description
    guarded.wait_for(lambda: "Unchanged" in guarded.finished())
    assert guarded.judged() == ["Refused"]
    assert len(guarded.finished()) <= 4  # its own change triggers one check; the guard's own may add two


def test_removals_good_versions_and_overrides_stand(guarded: Guarded) -> None:
    guarded.client.delete_registered_model_alias("headstart", "champion")
    guarded.wait_for(lambda: guarded.changes()[-1].kind == "removal")
    guarded.promote_by_hand("1")
    guarded.wait_for(lambda: guarded.changes()[-1].after == "1")
    assert guarded.changes()[-1].verdict == "passed"
    guarded.client.set_model_version_tag("headstart", "2", "promotion.override", "an experiment")
    guarded.promote_by_hand("2")
    guarded.wait_for(lambda: guarded.changes()[-1].override == "an experiment")
    assert guarded.judged() == ["Refused", "Completed", "Completed", "Completed"]
    assert guarded.champion() == "2"
    assert not {"promotion.override", "promotion.refused"} & set(guarded.tags("2"))


def test_another_guard_at_the_same_port_exits_and_the_webhook_stays_the_firsts(guarded: Guarded) -> None:
    [before] = guarded.client.list_webhooks()
    assert run(guarded.root, *guarded.command, check=False).returncode != 0
    [after] = guarded.client.list_webhooks()
    assert after.last_updated_timestamp == before.last_updated_timestamp


def test_without_the_guard_the_next_check_puts_a_bad_version_back(guarded: Guarded) -> None:
    before = len(guarded.finished())
    headstart(guarded.root, "rollback")
    guarded.wait_for(lambda: len(guarded.finished()) > before)
    os.killpg(guarded.guard.pid, signal.SIGKILL)
    guarded.guard.wait(60)
    guarded.promote_by_hand("2")
    done = run_deployment("promotion/guard", as_subflow=False, timeout=SECONDS, poll_interval=1)
    assert done.state is not None
    assert done.state.name == "Refused"
    assert guarded.champion() == "1"
    assert [change.kind for change in guarded.changes()] == [
        *("promotion", "refusal", "removal", "promotion", "promotion", "rollback", "refusal")
    ]


def test_there_is_one_webhook_and_its_secret_stays_secret(guarded: Guarded) -> None:
    webhooks.subscribe("http://127.0.0.1:1/mlflow", "another")
    [found] = guarded.client.list_webhooks()
    assert found.url == "http://127.0.0.1:1/mlflow"
    secret = guarded.root / ".services" / "guard.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in (guarded.folder / "guard.log").read_text()
