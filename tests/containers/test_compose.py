"""compose.yaml: the services of docs/systemd with the same settings, and no secret of its own."""

import re
import shlex
from typing import Any

import pytest
from projects import ROOT
from ruamel.yaml import YAML

TEXT = (ROOT / "compose.yaml").read_text()
SERVICES: dict[str, Any] = YAML(typ="safe").load(TEXT)["services"]
UNITS = {
    "prefect": "headstart-prefect",
    "mlflow": "headstart-mlflow",
    "worker": "headstart-worker@",
    "guard": "headstart-guard",
    "serve": "headstart-serve",
}
OTHER = {
    *("PREFECT_SERVER_API_HOST", "MLFLOW_BACKEND_STORE_URI", "CUDA_VISIBLE_DEVICES"),
    *("MODEL", "LISTEN_HOST", "LISTEN_PORT", "URL"),  # arguments in compose.yaml
}
SETTING = re.compile(r"\$\{(\w+)(:[-?])?")


def unit_settings(unit: str) -> dict[str, str]:
    text = (ROOT / f"docs/systemd/{unit}.service").read_text()
    given = [
        line.removeprefix("Environment=") for line in text.splitlines() if line.startswith("Environment=")
    ]
    return dict(pair.split("=", 1) for line in given for pair in shlex.split(line))


@pytest.mark.parametrize("service", UNITS)
def test_a_service_has_the_settings_of_its_unit(service: str) -> None:
    own, wanted = SERVICES[service]["environment"], unit_settings(UNITS[service])
    assert set(wanted) - set(own) <= OTHER
    plain = {name: value for name, value in wanted.items() if "/srv" not in value and name not in OTHER}
    assert {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", own[name]) for name in plain} == plain


def test_the_services_of_a_team_are_there() -> None:
    assert set(SERVICES) == {
        *("postgres", "databases", "prefect", "mlflow", "worker", "guard-worker", "guard", "serve")
    }


def test_ports_are_published_on_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_waits_for_services_that_say_when_they_are_ready(service: str) -> None:
    for name, wanted in SERVICES[service].get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[name]
        else:
            assert wanted["condition"] == "service_completed_successfully"


def test_the_database_is_ready_only_once_others_reach_it() -> None:
    """The image makes its database with a server that answers on its socket alone."""
    assert "--host=127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"]


def test_the_worker_finds_what_serve_keeps() -> None:
    worker, serve = SERVICES["worker"], SERVICES["serve"]
    kept = f"kept:{worker['environment']['HEADSTART_PROJECT']}/kept"
    assert kept in worker["volumes"]
    assert kept in serve["volumes"]


def test_the_image_holds_no_secret_and_nothing_that_clients_sent() -> None:
    left_out = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", ".dvc/config.local", ".services", "/kept", "/mlflow/basic_auth.ini"} <= set(left_out)


def test_volumes_are_declared() -> None:
    used = {name.partition(":")[0] for each in SERVICES.values() for name in each.get("volumes", [])}
    assert used == set(YAML(typ="safe").load(TEXT)["volumes"])


def test_secrets_come_from_the_environment_and_the_page_names_them() -> None:
    page = (ROOT / "docs/containers.md").read_text()
    needed = {name for name, kind in SETTING.findall(TEXT) if kind == ":?"}
    assert {"POSTGRES_PASSWORD", "PREFECT_AUTH", "HEADSTART_SERVE_TOKENS"} <= needed
    assert not [name for name in needed if f"{name}=" not in page]
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKENS|AUTH_STRING|_KEY$", name):
                assert re.fullmatch(r"\$\{\w+:[-?][^}]*\}", value), name
