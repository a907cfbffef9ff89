"""The packages that a project pins: those of this environment, with digests if they are as released."""

from collections.abc import Callable
from importlib import metadata

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from projects import ROOT

from headstart.errors import LineageError
from headstart.projects import pins
from headstart.repository.environments import differences, pinned

RELEASED = (ROOT / "requirements.lock").read_text()
ENTRIES = {entry[1]: entry for entry in pins.PIN.finditer(RELEASED)}


def test_the_closure_has_what_headstart_needs_and_no_tool_of_its_developers() -> None:
    found = pins.installed()
    assert {"torch", "dvc", "dvc-ssh", "mlflow", "prefect", "pytest", "sqlalchemy"} <= set(found)
    assert not {"ruff", "mypy", "cleanlab", "headstart"} & set(found)
    assert all(version == metadata.version(name).partition("+")[0] for name, version in found.items())


def test_every_entry_of_a_lock_is_read() -> None:
    lines = [line for line in RELEASED.splitlines() if "==" in line and line[0] not in " #"]
    assert len(list(pins.PIN.finditer(RELEASED))) == len(lines)
    assert all("--hash=" in entry[0] for entry in pins.PIN.finditer(RELEASED))


def test_the_versions_of_the_release_are_pinned_with_their_digests(tmp_path) -> None:
    packages = pins.installed()
    text = pins.lock(packages, RELEASED)
    kept = {entry[1]: entry for entry in pins.PIN.finditer(text)}
    assert set(packages) <= set(kept)
    assert {entry[0] for entry in kept.values()} <= {entry[0] for entry in pins.PIN.finditer(RELEASED)}
    elsewhere = [entry for entry in pins.PIN.finditer(text) if entry[3] and not Marker(entry[3]).evaluate()]
    assert elsewhere  # packages of other platforms stay pinned
    (tmp_path / "requirements.lock").write_text(text)
    assert differences(tmp_path / "requirements.lock", "3.11") | {"python": 0} == {"python": 0}


def test_other_versions_are_pinned_as_they_are_installed(tmp_path) -> None:
    packages = {**pins.installed(), "tqdm": "1.2.3", "triton": "1.2.3", "own": "1.0"}
    text = pins.lock(packages, RELEASED)
    kept = {entry[1]: entry for entry in pins.PIN.finditer(text)}
    assert kept["tqdm"][0] == "tqdm==1.2.3\n"
    assert kept["own"][0] == "own==1.0\n"
    assert kept["triton"][0] == f"triton==1.2.3 ; {ENTRIES['triton'][3]}\n"  # still of its platform alone
    assert "--hash=" in kept["numpy"][0]
    (tmp_path / "requirements.lock").write_text(text)
    assert pinned(tmp_path / "requirements.lock") == packages


def test_an_extra_counts_once_all_of_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pins.extras()
    assert not {"s3", "dev"} & before
    version = metadata.version
    monkeypatch.setattr(pins.metadata, "version", lambda name: "3.0" if name == "dvc-s3" else version(name))
    monkeypatch.setattr(pins, "_wanted", _with_s3(pins._wanted))
    assert pins.extras() == before | {"s3"}
    assert pins.installed()["dvc-s3"] == "3.0"


def _with_s3(wanted: Callable[[str], tuple[Requirement, ...]]) -> Callable[[str], tuple[Requirement, ...]]:
    return lambda name: () if name == "dvc-s3" else wanted(name)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "shtab":
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(pins.metadata, "version", version)
    with pytest.raises(LineageError, match="headstart needs shtab, which is not installed"):
        pins.installed()
