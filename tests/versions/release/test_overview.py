"""The report on a flow run's page: correct for every outcome, and narrow enough for a phone."""

import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from headstart.versions.registry.versions import Registered
from headstart.versions.release.overview import as_markdown

WIDEST_ROW = 48  # characters that Prefect's page shows at 420 pixels


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri, uri)
    client.create_registered_model("headstart")
    for accuracy in (0.8, 0.9):
        run = client.create_run("0")
        figures = {"accuracy": accuracy, "accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.05}
        for name, value in {**figures, "balanced_accuracy": accuracy}.items():
            client.log_metric(run.info.run_id, f"test/{name}", value)
        client.create_model_version(
            "headstart", "file:///none", run.info.run_id, description="PASS: all\nmore"
        )
    return client


def report(version: str, aliases: tuple[str, ...], is_new: bool = True, is_unchanged: bool = False) -> str:
    registered = Registered("headstart", version, aliases, "run", is_new, True)
    return as_markdown(registered, "3 new, 0 changed, 0 removed", is_unchanged)


def test_a_version_that_was_rejected_is_no_champion(client: MlflowClient) -> None:
    said = report("1", ())
    assert "**Rejected.**" in said
    assert "There is no champion to compare with." in said
    assert "is the champion" not in said
    assert "Data: 3 new, 0 changed, 0 removed" in said
    assert "PASS: all\n" in said
    assert "more" not in said


def test_figures_stand_beside_the_champions_in_rows_that_a_telephone_shows(client: MlflowClient) -> None:
    client.set_registered_model_alias("headstart", "champion", "1")
    said = report("2", ("challenger",))
    assert "**Accepted.**" in said
    assert "The champion is version 1" in said
    assert "| accuracy | 0.900 | 0.800 |" in said
    assert "| *interval* | 0.800\u20130.950 | 0.700\u20130.850 |" in said
    assert "| roc auc | not defined | not defined |" in said
    assert max(len(line) for line in said.splitlines() if line.startswith("|")) <= WIDEST_ROW
    assert "This version is the champion." in report("1", ("champion",))


def test_each_outcome_is_told(client: MlflowClient) -> None:
    assert "**Champion.**" in report("1", ("challenger", "champion"))
    assert "**Unchanged.**" in report("1", ("champion",), is_new=False, is_unchanged=True)
    assert "**Registered before.**" in report("1", (), is_new=False)


def test_images_are_counted_by_class_and_split(client: MlflowClient, tmp_path: Path) -> None:
    import mlflow

    from headstart.versions.registry.dataset import DvcSource, ImageFolder

    counts = {"light": {"train": 4, "test": 2}, "dark": {"train": 3, "test": 1}}
    run_id = client.get_model_version("headstart", "1").run_id
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run(run_id=run_id):
        mlflow.log_input(ImageFolder(DvcSource("data", "0" * 32, "c"), counts), context="training")
    said = report("1", ())
    assert "| images | train | test |" in said
    assert said.index("| dark | 3 | 1 |") < said.index("| light | 4 | 2 |")
    assert json.dumps(counts) not in said
