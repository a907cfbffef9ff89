"""The units in docs/systemd: accepted by systemd, and with the same settings as `make services`."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import ROOT

from headstart.host.project import QUIET
from headstart.orchestration import services

UNITS = sorted((ROOT / "docs" / "systemd").glob("*.service"))
WORKER = ROOT / "docs" / "systemd" / "headstart-worker@.service"


def lines(unit: Path, key: str) -> list[str]:
    found = [line.partition("=") for line in unit.read_text().splitlines()]
    return [value for name, _, value in found if name == key]


def environment(unit: Path) -> dict[str, str]:
    pairs = [pair for line in lines(unit, "Environment") for pair in shlex.split(line)]
    return dict(pair.split("=", 1) for pair in pairs)


def test_a_worker_has_what_make_services_gives_it() -> None:
    found = environment(WORKER)
    given = services._settings(4200, 5000)
    same = {name for name in given if name.startswith(("PREFECT_WORKER_", "PREFECT_FLOWS_", "HEADSTART_RET"))}
    quiet = set(QUIET) - {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"}
    assert same >= {"PREFECT_WORKER_QUERY_SECONDS", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "HEADSTART_RETRIES"}
    assert {name: found.get(name) for name in same} == {name: given[name] for name in same}
    assert {name: found.get(name) for name in quiet} == {name: QUIET[name] for name in quiet}
    clone = found["HEADSTART_CLONE"]
    assert [clone] == lines(WORKER, "WorkingDirectory")
    assert found["PYTHONPATH"] == f"{clone}/src:{clone}"
    assert "PrivateTmp=true" not in WORKER.read_text(), "accelerators are locked by files in /tmp"


def test_the_servers_listen_on_loopback_and_their_settings_are_read_from_a_file() -> None:
    for unit in UNITS:
        assert "0.0.0.0" not in unit.read_text()
        assert "PASSWORD=" not in unit.read_text()
        assert all("/etc/headstart/" in line for line in lines(unit, "EnvironmentFile"))
    assert (
        environment(ROOT / "docs/systemd/headstart-prefect.service")["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    )


@pytest.mark.server
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """The units get this test's interpreter, since systemd checks that the program exists."""
    program = shutil.which("systemd-analyze")
    assert program, "this test needs systemd-analyze: apt-get install systemd"
    for unit in UNITS:
        path = tmp_path / unit.name.replace("@.", "@cpu.")
        path.write_text(unit.read_text().replace("/srv/headstart/project/.venv/bin/python", sys.executable))
        done = subprocess.run([program, "verify", str(path)], capture_output=True, text=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
