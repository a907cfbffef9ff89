"""Epochs of a long training are in MLflow while it lasts, and registration does not log them twice."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import ROOT

from headstart.errors import TrackingError
from headstart.ground import paths
from headstart.orchestration import live_curves
from headstart.orchestration.live_curves import LiveCurves
from headstart.orchestration.stage_output import StageOutput
from headstart.progress import EPOCH_MARK, FOLLOWED
from headstart.repository.stage_run import _pieces
from headstart.versions.registry import tracking
from headstart.versions.release import experiment, run_metrics

EPOCHS = [
    {"epoch": number, "lr": 0.1 / 3, "train_loss": 1 / (number + 0.7), "val_loss": 1 / 3 + number / 7}
    for number in (1, 2, 3)
]
STAGE = """
import sys, time
from headstart.progress import bar, report_epoch
with bar(3, "train", "epoch") as progress:
    for number in (1, 2, 3):
        progress.set_postfix_str(f"val_loss={number}", refresh=True)
        progress.update()
        report_epoch(progress, {"epoch": number, "val_loss": 1 / 3 / number, "trials": 0})
print("train: 3 epochs")
"""


class Opened:
    def __init__(self, run_id: str | None) -> None:
        self.id = run_id


@pytest.fixture(scope="module")
def uri(common: Path) -> str:
    tracking._make_database(common / "mlflow.db")
    return f"sqlite:///{common}/mlflow.db"


@pytest.fixture
def client(uri: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(live_curves, "AFTER_SECONDS", 0.0)
    monkeypatch.setattr(live_curves, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(live_curves, "get_run_logger", lambda: logging.getLogger("flow"))
    return tracking.connect()


def add(curves: LiveCurves, epoch: dict[str, float]) -> None:
    """Report an epoch, and wait until it was sent."""
    curves.add(epoch)
    curves.finish()


def curve(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def write_history(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    monkeypatch.chdir(folder)
    paths.HISTORY.parent.mkdir()
    pd.DataFrame(EPOCHS).to_csv(paths.HISTORY, index=False)


def test_epochs_are_logged_while_they_are_trained_and_once(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = experiment.open_run("own", {})
    curves = LiveCurves(Opened(run_id))
    for epoch in EPOCHS[:2]:
        add(curves, {**epoch, "trials": 0})
        steps = [step for step, _ in curve(client, run_id, "epoch/val_loss")]
        assert steps == list(range(1, epoch["epoch"] + 1))  # type: ignore[operator]
    write_history(tmp_path, monkeypatch)
    for _ in range(2):  # registration may be repeated
        run_metrics.log_epochs(client, run_id)
        for name in ("lr", "train_loss", "val_loss"):
            expected = [(epoch["epoch"], epoch[name]) for epoch in EPOCHS]
            assert curve(client, run_id, f"epoch/{name}") == expected


def test_a_short_training_is_left_to_registration(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_curves, "AFTER_SECONDS", 60.0)
    run_id = experiment.open_run("own", {})
    curves = LiveCurves(Opened(run_id))
    add(curves, EPOCHS[0])
    assert curve(client, run_id, "epoch/val_loss") == []
    curves._next = 0.0  # a minute has passed
    add(curves, EPOCHS[1])
    assert [step for step, _ in curve(client, run_id, "epoch/val_loss")] == [1, 2]


def test_a_sweep_has_a_curve_of_its_own(client: MlflowClient) -> None:
    run_id = experiment.open_run("own", {})
    curves = LiveCurves(Opened(run_id))
    for _ in range(2):  # two groups of trials
        for epoch in EPOCHS:
            add(curves, {**epoch, "trials": 4})
    assert [step for step, _ in curve(client, run_id, "sweep/val_loss")] == [1, 2, 3, 4, 5, 6]
    assert curve(client, run_id, "epoch/val_loss") == []


def test_epochs_wait_for_a_server_that_is_away(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_curves, "AGAIN_SECONDS", 0.0)
    run_id = experiment.open_run("own", {})
    curves = LiveCurves(Opened(run_id))
    with monkeypatch.context() as away:

        def refuse(*given: object) -> None:
            raise TrackingError("MLflow does not answer")

        away.setattr(run_metrics, "log_live", refuse)
        add(curves, EPOCHS[0])
    assert "cannot show the epochs in MLflow at the moment: MLflow does not answer" in caplog.text
    add(curves, EPOCHS[1])
    assert [step for step, _ in curve(client, run_id, "epoch/val_loss")] == [1, 2]


def test_a_server_that_is_slow_or_an_odd_error_does_not_hold_up_the_training(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answered = threading.Event()

    def wait(*given: object) -> None:
        answered.wait(30)
        raise KeyError("what nobody expected")

    monkeypatch.setattr(run_metrics, "log_live", wait)
    curves = LiveCurves(Opened("some run"))
    for epoch in EPOCHS:
        curves.add(epoch)  # returns while the server does not
    assert not answered.is_set()
    answered.set()
    curves.finish()
    assert "cannot show the epochs in MLflow at the moment: 'what nobody expected'" in caplog.text


@pytest.mark.parametrize("followed", [True, False])
def test_a_stage_reports_epochs_between_the_states_of_its_bar(
    followed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLLOWED, "1" if followed else "")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setattr("headstart.orchestration.stage_output.StageProgress._tell", lambda *given: None)
    found: list[dict[str, float]] = []
    output = StageOutput("train", found.append)
    command = [sys.executable, "-c", STAGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for text, is_line in _pieces(process.stdout):
            (output.on_line if is_line else output.on_progress)(text)
    assert [epoch["val_loss"] for epoch in found] == ([1 / 3, 1 / 6, 1 / 9] if followed else [])
    assert output.finish() == "train: 3 epochs"
    assert not any(EPOCH_MARK in line for line in output.lines)
