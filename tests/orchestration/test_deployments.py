"""This project's deployments and automations on a real Prefect server."""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import wait_for
from projects import run
from servers import prefect_server

from headstart.orchestration import guard_check, retired, services

pytestmark = pytest.mark.server


def test_the_nightly_run_is_planned_and_automations_are_made_once(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect = [sys.executable, "-m", "prefect"]
    with prefect_server(tmp_path / "server") as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        monkeypatch.setenv("HEADSTART_CLONE", str(repository))
        settings = {**os.environ, "PREFECT_API_URL": f"{address}/api"}
        for pool in ("cpu", "gpu", "guard"):
            services._create_pool(pool, settings, is_paused=pool == "gpu")
        run(repository, *prefect, "--no-prompt", "deploy", "--all")
        names = {each["id"]: each["name"] for each in ask(address, "deployments/filter")}
        wait_for(lambda: {names[run] for run in planned(address)} >= {"nightly", "daily"}, 90)
        assert set(planned(address).values()) == {"SCHEDULED"}

        for _ in range(2):
            services._create_automations(address, {"PREFECT_API_URL": f"{address}/api"})
        found = [each["name"] for each in ask(address, "automations/filter")]
        assert found.count("Headstart: a flow run whose process is gone is Crashed") == 1

        assert states(address) == {"cpu": "NOT_READY", "gpu": "PAUSED", "guard": "NOT_READY"}
        services._create_pool("gpu", settings, is_paused=False)  # once there is a card
        assert states(address)["gpu"] == "NOT_READY"

        with temporary_settings({PREFECT_API_URL: f"{address}/api"}):
            assert guard_check.start_if_idle() is not None
            assert guard_check.start_if_idle() is None  # the first one waits for a worker


def test_deployments_of_an_earlier_version_are_removed_by_their_exact_names(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    monkeypatch.chdir(repository)
    path = repository / "prefect.yaml"
    now = path.read_text()
    with prefect_server(tmp_path / "server") as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        monkeypatch.setenv("HEADSTART_CLONE", str(repository))
        settings = {**os.environ, "PREFECT_API_URL": f"{address}/api"}
        for pool in ("cpu", "gpu", "guard"):
            services._create_pool(pool, settings, is_paused=False)
        before = now.replace("name: train-now", "name: on-demand").replace("name: score", "name: on-demand")
        path.write_text(before.replace("name: guard\n", "name: reconcile\n", 1))
        run(repository, *deploy)
        assert retired.find_retired(address) == {}  # this prefect.yaml has them
        path.write_text(now.replace("name: daily", "name: on-demand-daily"))
        run(repository, *deploy)
        found = retired.find_retired(address)
        assert list(found) == list(retired.RETIRED)
        retired.remove(address, found)
        assert retired.find_retired(address) == {}
        names = {each["name"] for each in ask(address, "deployments/filter")}
        assert names == {"nightly", "train-now", "gpu", "guard", "score", "daily", "on-demand-daily"}
        triggers = [each for each in ask(address, "automations/filter") if "drift" in each["name"]]
        assert len(triggers) == 1


def states(address: str) -> dict[str, str]:
    """The status of each work pool."""
    return {each["name"]: each["status"] for each in ask(address, "work_pools/filter")}


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
