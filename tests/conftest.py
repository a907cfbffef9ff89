"""Fixtures: every test gets its own store, tracking server and settings."""

import os
import sys
from pathlib import Path

import pytest
from projects import draw_images, make_repository, make_tree

from headstart.host.project import QUIET


def forget_servers() -> None:
    """Reset the servers that a test named: MLflow keeps them in its modules and in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)
    if "mlflow" in sys.modules:
        from mlflow.tracking._model_registry import utils as registry
        from mlflow.tracking._tracking_service import utils as tracking

        tracking._tracking_uri = None
        registry._registry_uri = None


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's store, servers and settings from every test."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("HEADSTART_PYTHON", sys.executable)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    forget_servers()
    for name in ("PREFECT_API_URL", "PYTHONPATH", "HEADSTART_STARTED_AGAIN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with this tree's code and a narrow network, as the working folder."""
    root = tmp_path / "project"
    make_tree(root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def repository(tree: Path) -> Path:
    """A project under git and DVC with images of two classes."""
    draw_images(tree / "data", {"dark": 24, "light": 24})
    make_repository(tree)
    return tree
