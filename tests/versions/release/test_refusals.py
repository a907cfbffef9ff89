"""A registered version that refuses: the gate, the scoring of files and the monitor count what it refuses."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from projects import draw_images, draw_mislabelled, edit_params, headstart, make_repository, repro
from registries import client_of, uri_of

pytestmark = pytest.mark.server  # registration takes a while


@pytest.fixture
def project(tree: Path) -> Path:
    """A version that refuses a quarter of its validation images."""
    draw_mislabelled(tree / "data", 60, 24)
    edit_params(tree, **{"train.abstain": {"rate": 0.25}, "monitor.min_images": 15})
    edit_params(tree, **{"register.thresholds.accuracy": 0.0, "register.thresholds.balanced_accuracy": 0.0})
    make_repository(tree)
    repro(tree)
    assert "champion" in headstart(tree, "register")
    return tree


def printed(said: str) -> dict[str, Any]:
    """The JSON document that follows the progress of a command."""
    found: dict[str, Any] = json.loads(said[said.index("{\n") :])
    return found


def test_refusals_are_counted_wherever_a_version_answers(project: Path) -> None:
    evaluated = pd.read_parquet(project / "artifacts/predictions.parquet").set_index("path")
    mlflow.set_tracking_uri(uri_of(project))
    version = client_of(project).get_model_version("headstart", "1")
    decided = json.loads(mlflow.artifacts.load_text(f"runs:/{version.run_id}/gate/gate.json"))
    checks = {check["name"]: check for check in decided["checks"]}
    accuracy = (evaluated["predicted"] == evaluated["label"]).mean()
    assert checks["accuracy"]["figure"] == pytest.approx(accuracy)  # as if every image were answered

    out = project / "scores.parquet"
    summary = printed(headstart(project, "score", "data", str(out), "--json"))
    scores = pd.read_parquet(out)
    scores["path"] = [Path(path).relative_to("data").as_posix() for path in scores["path"]]
    test = scores.set_index("path").loc[evaluated.index]
    refused = test["label"].isna()
    assert 0 < refused.sum() < len(test)
    assert test["confidence"].to_numpy() == pytest.approx(evaluated["confidence"].to_numpy(), abs=1e-3)
    assert test["confidence"][refused].max() < test["confidence"][~refused].min()
    assert (test["label"][~refused] == evaluated["predicted"][~refused]).all()
    [reason] = set(test["error"][refused])
    assert reason.startswith("refused: the confidence is below 0.")
    assert summary["errors"] == {reason: int(scores["label"].isna().sum())}

    assert checks["refused"]["figure"] == pytest.approx(refused.mean())
    assert checks["refused"]["verdict"] == "passed"
    assert checks["refused"]["found"].startswith(f"{refused.sum()} of {len(test)} images refused")
    rest = (test["label"] == evaluated["label"])[~refused].mean()
    assert checks["refused"]["found"].endswith(f"accuracy on the others {100 * rest:.4g} %")

    new = project.parent / "new"
    draw_images(new, {"dark": 20, "light": 20}, seed=5)
    monitored = printed(headstart(project, "monitor", str(new), "--json"))
    assert {check["name"] for check in monitored["checks"]} >= {"classes", "confidence"}
