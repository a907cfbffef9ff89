"""An update whose start of the services is killed half-way ends the guard of before at the next one."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from projects import ROOT

from headstart.host.owner import started
from headstart.orchestration import services
from headstart.orchestration.retired import CHECK

LOOP = [sys.executable, "-c", "import time\nwhile True: time.sleep(60)"]


class Prefect(BaseHTTPRequestHandler):
    """A server that has the deployment of before, and is asked to remove it."""

    requests: list[str]
    guard: int
    was_alive: list[bool]
    refuses: bool

    def do_GET(self) -> None:
        is_there = self.path.endswith(f"/name/{CHECK}")
        self._answer(200 if is_there else 404, {"id": "1", "tags": ["headstart"]})

    def do_DELETE(self) -> None:
        self.requests.append(self.path.partition("/api/")[2])
        self.was_alive.append(started(self.guard) != "")
        self._answer(500 if self.refuses else 200, {})

    def _answer(self, status: int, document: object) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def prefect() -> Iterator[tuple[str, type[Prefect]]]:
    handler = type("Own", (Prefect,), {"requests": [], "was_alive": [], "refuses": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_the_guard_of_before_ends_before_the_deployment_that_leads_to_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect: tuple[str, type[Prefect]]
) -> None:
    address, server = prefect
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    services.make_own_folder()
    services._spawn("guard", LOOP, os.environ)
    [guard] = services.recorded()
    server.guard = guard.pid
    server.refuses = True
    with pytest.raises(OSError, match="500"):
        services._remove_retired(address)
    assert server.requests == ["automations/owned-by/prefect.deployment.1"]
    assert services.recorded() == []
    server.refuses = False
    services._remove_retired(address)  # the next start does the rest
    assert server.requests[1:] == ["automations/owned-by/prefect.deployment.1", "deployments/1"]
    assert server.was_alive == [False] * 3
