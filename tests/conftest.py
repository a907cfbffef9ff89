"""Fixtures: every test gets its own store, tracking server and settings."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import draw_images, make_repository, make_tree
from templates import FOLDER, make_trained

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


def isolate(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Hide the user's store, servers and settings; what replaces them is in `folder`."""
    for name, value in QUIET.items():
        patch.setenv(name, value)
    patch.setenv("HEADSTART_CACHE", str(folder / "store"))
    patch.setenv("HEADSTART_PYTHON", sys.executable)
    patch.setenv("PREFECT_HOME", str(folder / "prefect"))
    patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "dvc"))
    forget_servers()
    for name in ("PREFECT_API_URL", "PYTHONPATH", "HEADSTART_STARTED_AGAIN"):
        patch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Name a folder that all test processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(folder))
        yield


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts without the user's store, servers and settings."""
    isolate(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what all tests of a file share; isolated while other fixtures of the file are made."""
    folder = tmp_path_factory.mktemp("common")
    with pytest.MonkeyPatch.context() as patch:
        isolate(folder, patch)
        yield folder


@pytest.fixture
def in_common(common: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`common`, with its store and settings for this test too."""
    isolate(common, monkeypatch)
    return common


@pytest.fixture(scope="module")
def common_repository(common: Path) -> Path:
    """`repository`, made once for a file: `common/project`."""
    root = common / "project"
    make_tree(root)
    draw_images(root / "data", {"dark": 24, "light": 24})
    make_repository(root)
    return root


@pytest.fixture(scope="module")
def common_trained(common: Path) -> Path:
    """`common_repository` after its stages have run."""
    root = common / "project"
    make_trained(root)
    return root


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
