"""Accuracy in the monitoring flow: the page, and an event once per cause."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headstart.orchestration import accuracy, model_events
from headstart.versions.monitoring.feedback.alarms import Alarm
from headstart.versions.monitoring.feedback.report import Feedback
from headstart.versions.serving.kept.store import KeptStore


def found(*kinds: str) -> Feedback:
    alarms = tuple(
        Alarm("models:/m/1", kind, "2026-01-01", 0.5, 40, 0.9, 0.05)  # type: ignore[arg-type]
        for kind in kinds
    )
    return Feedback("answers", 0.95, "day", (), (), (), alarms)


def test_a_cause_is_an_event_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("backbone: {weights: random}\n")
    with KeptStore(tmp_path / "kept", is_new=True):
        pass
    events: list[Mapping[str, Any]] = []
    monkeypatch.setattr(accuracy, "emit_event", lambda **event: events.append(event))
    monkeypatch.setattr(accuracy, "create_markdown_artifact", lambda **artifact: None)
    monkeypatch.setattr(model_events, "page_of", lambda version: "http://127.0.0.1/page")
    for kinds in (["estimate"], ["estimate"], ["labels"], ["labels"]):
        accuracy.report_accuracy.fn(found(*kinds))
    assert [event["payload"]["kind"] for event in events] == ["estimate", "labels"]
    assert {event["event"] for event in events} == {"headstart.accuracy"}
    assert "more than 5 points below the test figure of 90.0%" in events[0]["payload"]["message"]


def test_without_kept_answers_there_is_no_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("backbone: {weights: random}\n")
    monkeypatch.setattr("prefect.get_run_logger", lambda: SimpleNamespace(info=print))
    assert accuracy.look_at_accuracy.fn() is None


def test_a_worker_looks_in_the_project_that_services_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("HEADSTART_PROJECT", str(tmp_path))
    (tmp_path / "clone/params.yaml").write_text("backbone: {weights: random}\n")
    monkeypatch.setattr("prefect.get_run_logger", lambda: SimpleNamespace(info=print))
    with KeptStore(tmp_path / "kept", is_new=True):
        pass
    assert accuracy.look_at_accuracy.fn() is not None
