"""A person promotes a version in MLflow's pages, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import browser
from mlflow.tracking import MlflowClient
from projects import edit_params, headstart, repro
from servers import mlflow_server

pytestmark = pytest.mark.server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    with mlflow_server(tmp_path / "server") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield MlflowClient(address, address)


def registered(root: Path) -> str:
    repro(root)
    return headstart(root, "register")


def test_a_version_is_promoted_by_the_pencil_beside_its_aliases(
    repository: Path, server: MlflowClient, tmp_path: Path
) -> None:
    assert "version 1 registered (alias: challenger, champion)" in registered(repository)
    edit_params(repository, **{"train.lr": 0.03})
    assert "version 2 registered (alias: challenger)" in registered(repository)
    sentence = server.get_model_version("headstart", "2").description.splitlines()[0]
    assert sentence.startswith("PASS: accuracy ")
    assert ", champion 1: " in sentence
    address = server.tracking_uri
    with browser(tmp_path) as page:
        page.open(f"{address}/#/models/headstart")
        page.find("//*[contains(., 'PASS: accuracy')]")
        page.picture(tmp_path / "versions.png")
        page.open(f"{address}/#/models/headstart/versions/2")
        page.find("//table//*[contains(., 'accuracy difference')]")
        page.find("//strong[contains(., 'pencil beside Aliases')]")
        page.picture(tmp_path / "version.png")
        page.click("//button[@title='Edit aliases']")
        page.write("//*[@role='dialog']//input", "champion\ue007")
        page.picture(tmp_path / "dialog.png")
        page.click("//button[contains(., 'Save aliases')]")
        page.find("//*[contains(., 'champion')][not(*)]")
    version = server.get_model_version_by_alias("headstart", "champion")
    assert str(version.version) == "2"
