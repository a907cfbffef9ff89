"""The card of a version: its links hold wherever MLflow is opened, and it asks for nothing that is done."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag

from headstart.versions.registry import tracking
from headstart.versions.registry.record import Record
from headstart.versions.release import card
from headstart.versions.release.decision import Check, Decision, Verdict

CLASSES = "class,precision,recall,f1,roc_auc,support\nok,0.5,1.0,0.667,1.0,1\nscratch,1.0,0.5,0.667,1.0,2\n"
PARAMS = "backbone: {arch: vgg16}\nmodel: {head: pooled}\nfeatures: {precision: fp32}\n"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """A record of three test images, one of which is wrong, on a server that users reach by another name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.internal:5000")
    tags = {
        "headstart.backbone_source": "IMAGENET1K_V1",
        "headstart.data": "0123.dir",
        "mlflow.source.git.commit": "4" * 40,
    }
    for part in ("record", "results", "reports"):
        (tmp_path / part).mkdir()
    (tmp_path / "record/params.yaml").write_text(PARAMS)
    (tmp_path / "reports/metrics.json").write_text("{}")
    (tmp_path / "reports/classes.csv").write_text(CLASSES)
    counts = {"ok": {"train": 4, "test": 1}, "scratch": {"train": 3, "test": 2}}
    (tmp_path / "reports/validation.json").write_text(json.dumps({"classes": counts}))
    answers = pd.DataFrame({"label": ["ok", "scratch", "scratch"], "predicted": ["ok", "ok", "scratch"]})
    answers.to_parquet(tmp_path / "results/predictions.parquet")
    info = RunInfo("ab12", "1", "ann", "FINISHED", 0, 1, "active")
    run = Run(info, RunData(tags=[RunTag(key, value) for key, value in tags.items()]))
    return Record("models:/headstart/2", run, None, (), tmp_path)


def decision(verdict: Verdict = "passed", champion: str | None = None) -> Decision:
    checks = (
        Check("accuracy", "passed", 0.667, "at least 50 %", found="2 of 3 images are right (66.67 %)"),
        Check("size_mb", verdict, 700.0, "at most 600 MB", found="700 MB"),
    )
    return Decision.of(checks, champion, "accuracy 0.667")


def test_links_lead_to_pages_of_the_server_that_shows_the_card(record: Record) -> None:
    text = card.as_markdown(record, decision(champion="1"))
    assert "[report](#/experiments/1/runs/ab12/artifacts/reports/report.html)" in text
    assert "[the data](#/experiments/1/runs/ab12/artifacts/reports/data.html)" in text
    assert "/artifacts/gate/comparison.html)" in text
    assert "mlflow.internal" not in text


def test_a_first_version_asks_for_no_promotion_that_is_done_already(record: Record) -> None:
    first = card.as_markdown(record, decision())
    assert "nothing is left to do" in first
    assert "To put this version into production" not in first
    later = card.as_markdown(record, decision(champion="1"))
    assert "To put this version into production" in later
    assert "nothing is left to do" not in later
    failed = card.as_markdown(record, decision("failed"))
    assert "Do not promote this version" in failed
    assert "pencil" not in failed


def test_a_check_is_named_without_the_unit_that_its_figure_has(record: Record) -> None:
    text = card.as_markdown(record, decision("failed"))
    assert text.splitlines()[0] == "FAIL: accuracy 0.667; size failed: 700 MB, required: at most 600 MB"
    assert "| size&emsp; | **failed**&emsp; | 700 MB&emsp; |" in text


def test_the_page_of_artifacts_is_a_place_within_the_pages_of_mlflow() -> None:
    assert tracking.artifacts_page("1", "ab") == "#/experiments/1/runs/ab/artifacts"
