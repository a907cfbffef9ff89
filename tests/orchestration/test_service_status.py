"""The status of services: who runs, who answers, and what is said about the rest."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from projects import make_tree

from headstart.cli.main import main
from headstart.host import owner
from headstart.orchestration import services
from headstart.orchestration.service_status import EXPECTED, overview
from headstart.orchestration.services import Service


@pytest.fixture
def prefect() -> Iterator[str]:
    """The address of a server that is healthy and has heard from the worker `cpu` of each pool."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200 if self.path in ("/api/health", "/health") else 404, b"true")

        def do_POST(self) -> None:
            self.answer(200, json.dumps([{"name": "cpu", "status": "ONLINE"}]).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_tree(tmp_path / "p")
    monkeypatch.chdir(tmp_path / "p")
    return tmp_path / "p"


def record(*found: Service) -> None:
    services.make_own_folder()
    services._write(list(found))


def this_process(name: str, address: str = "") -> Service:
    return Service(name, os.getpid(), owner.started(os.getpid()), address)


def all_of(prefect: str) -> list[Service]:
    servers = [this_process(name, prefect) for name in ("prefect", "mlflow", "guard")]
    return [*servers, this_process("worker cpu")]


def test_before_a_start_nothing_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["services", "status"])
    assert ended.value.code == 3
    said = capsys.readouterr().out
    assert all(f"\n{name} " in said for name in EXPECTED)
    assert said.count("not running") == len(EXPECTED) + 1
    assert "`headstart services start` starts what is not running" in said
    assert not (project / ".services").exists()


def test_what_answers_is_healthy(
    project: Path, prefect: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("headstart.orchestration.service_status.EXPECTED", ("prefect",))
    record(*all_of(prefect))
    with pytest.raises(SystemExit) as ended:
        main(["services", "status", "--json"])
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is True
    first = document["services"][0]
    assert (first["name"], first["state"], first["problem"]) == ("prefect", "healthy", None)
    assert (first["pid"], first["address"]) == (os.getpid(), prefect)
    assert first["log"] == ".services/logs/prefect.log"
    assert datetime.fromisoformat(first["since"]) <= datetime.now(UTC)


def test_what_ended_or_does_not_answer_is_named(project: Path, prefect: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    ended = Service("mlflow", process.pid, owner.started(process.pid), prefect)
    process.wait()
    record(
        this_process("prefect", f"{prefect}/elsewhere"),
        ended,
        this_process("worker cpu"),
        this_process("guard", prefect),
    )
    found = {service.name: service for service in overview().services}
    assert found["prefect"].state == "not answering"
    assert "HTTP Error 404" in str(found["prefect"].problem)
    assert (found["mlflow"].state, found["mlflow"].pid) == ("not running", None)
    assert found["guard"].state == "healthy"
    assert found["worker guard"].state == "not running"


def test_a_worker_that_prefect_has_not_heard_from_is_named(project: Path, prefect: str) -> None:
    record(this_process("prefect", prefect), this_process("worker cpu"), this_process("worker gpu-0"))
    found = {service.name: service for service in overview().services}
    assert found["worker cpu"].state == "healthy"
    assert found["worker gpu-0"].problem == "Prefect has not heard from it for a while"
    assert "worker gpu-0: Prefect has not heard from it" in overview().as_text()


def test_the_start_of_a_process_is_a_time() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        since = owner.start_time(owner.started(process.pid))
        assert since is not None
        assert abs((datetime.now(UTC) - since).total_seconds()) < 5
    finally:
        process.communicate(b"\n")
    assert owner.start_time(owner.started(process.pid)) is None


def test_what_was_stopped_is_named_in_the_order_of_its_end(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("prefect", "worker cpu")
    running = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in names]
    own = [
        Service(name, each.pid, owner.started(each.pid), "")
        for name, each in zip(names, running, strict=True)
    ]
    record(*own)
    for stopped in (["worker cpu", "prefect"], []):
        main(["services", "stop", "--json"])
        assert json.loads(capsys.readouterr().out) == {"stopped": stopped}
    assert not [each for each in own if services.is_alive(each)]
