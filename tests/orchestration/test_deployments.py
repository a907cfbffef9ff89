"""This project's deployments and automations on a real Prefect server."""

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for
from projects import run
from servers import prefect_server

from headstart.orchestration import services

pytestmark = pytest.mark.server


def test_the_nightly_run_is_planned_and_automations_are_made_once(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect = [sys.executable, "-m", "prefect"]
    with prefect_server(tmp_path / "server") as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        monkeypatch.setenv("HEADSTART_CLONE", str(repository))
        for pool in ("cpu", "gpu", "guard"):
            run(repository, *prefect, "work-pool", "create", pool, "--type", "process")
        run(repository, *prefect, "--no-prompt", "deploy", "--all")
        names = {each["id"]: each["name"] for each in ask(address, "deployments/filter")}
        wait_for(lambda: {names[run] for run in planned(address)} >= {"nightly", "reconcile", "daily"}, 90)
        assert set(planned(address).values()) == {"SCHEDULED"}

        for _ in range(2):
            services._create_automations(address, {"PREFECT_API_URL": f"{address}/api"})
        found = [each["name"] for each in ask(address, "automations/filter")]
        assert found.count("Headstart: a flow run whose process is gone is Crashed") == 1


def planned(address: str) -> dict[str, str]:
    """The state of a flow run for each deployment that has one."""
    return {each["deployment_id"]: each["state_type"] for each in ask(address, "flow_runs/filter")}


def ask(address: str, place: str) -> list[dict[str, Any]]:
    """Everything that a server lists at a path of its API."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/{place}", data=b"{}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found
