"""MLflow's registry of a test's project."""

from pathlib import Path

from mlflow.tracking import MlflowClient


def uri_of(root: Path) -> str:
    """The tracking database in a project's own folder."""
    return f"sqlite:///{root}/mlflow/mlflow.db"


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(uri_of(root), uri_of(root))


def versions_of(root: Path) -> list[str]:
    """Numbers of the registered versions."""
    found = client_of(root).search_model_versions("name = 'headstart'")
    return sorted(str(version.version) for version in found)
