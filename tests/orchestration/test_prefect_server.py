"""A Prefect server that is not there, or a damaged profile, is one line before anything starts."""

import socket
from pathlib import Path

import pytest

from headstart.errors import HeadstartError
from headstart.orchestration.prefect_server import check_server

DEAD = "http://127.0.0.1:9/api"


def write_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(text)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(path))


def test_a_dead_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", DEAD)
    with pytest.raises(HeadstartError, match=f"not answer at {DEAD} .*correct PREFECT_API_URL, or unset it"):
        check_server()


def test_the_address_of_a_profile_is_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profiles(tmp_path, monkeypatch, f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{DEAD}"\n')
    with pytest.raises(HeadstartError, match=r"which profile team in .*profiles.toml names"):
        check_server()
    monkeypatch.setenv("PREFECT_PROFILE", "other")
    check_server()


@pytest.mark.parametrize("text", ["[profiles.y\n", "profiles = 3\n"])
def test_a_damaged_profile_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profiles(tmp_path, monkeypatch, text)
    with pytest.raises(HeadstartError, match="PREFECT_PROFILES_PATH"):
        check_server()


def test_a_server_that_answers_is_taken_and_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    check_server()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.getsockname()[1]}/api")
        check_server()
