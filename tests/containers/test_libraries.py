"""The libraries of an image: all that the server imports, without CUDA, with digests where they are known."""

import re

import pytest

from headstart.containers import libraries
from headstart.containers.libraries import requirements
from headstart.ground.import_closure import libraries as imported_by
from headstart.projects import pins

TORCH = {"torch", "torchvision"}


def names(text: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9.-]+)==", text))


def test_the_server_gets_what_it_imports_and_no_more() -> None:
    found = requirements()
    every = names(found.hashed) | names(found.unhashed)
    wanted = {libraries.NAMES.get(name, name).replace("_", "-") for name in imported_by(libraries.SERVER)}
    assert wanted | {"tqdm", "python-multipart"} <= every
    assert not every & {"prefect", "dvc", "great-expectations", "mlflow", "matplotlib", "headstart"}
    assert not [name for name in every if name.startswith(("nvidia", "cuda", "triton"))]


def test_only_torch_has_no_digest() -> None:
    found = requirements()
    assert names(found.unhashed) == TORCH
    assert all(each.endswith("+cpu") for each in found.names_unhashed)
    entries = [entry[0] for entry in pins.PIN.finditer(found.hashed)]
    assert len(entries) == len(names(found.hashed))
    assert all("--hash=sha256:" in entry for entry in entries)


def test_another_version_than_the_released_one_is_named_without_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = pins.environments.installed
    own = {"numpy": "2.4.999"}
    monkeypatch.setattr(pins.environments, "installed", lambda name: own.get(name) or installed(name))
    found = requirements()
    assert "numpy==2.4.999" in found.names_unhashed
    assert "numpy" not in names(found.hashed)
