"""The monitoring flow against a Prefect server: its states, its artifact and its event."""

import hashlib
import json
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for
from projects import draw_images, edit_params, headstart, make_repository, repro, run
from servers import prefect_server

from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore

pytestmark = pytest.mark.server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with prefect_server(tmp_path / "prefect-server") as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        yield address


def ask(server: str, what: str, **body: Any) -> Any:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{server}/api/{what}", data, headers)) as answer:
        return json.load(answer)


def watch(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", f"{root / 'src'}:{root}")
    return run(root, sys.executable, "flows/monitoring.py").stdout


def test_drift_is_a_state_an_artifact_and_an_event(
    tree: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_images(tree / "data", {"dark": 40, "light": 40})
    make_repository(tree)
    assert "Skipped" in watch(tree, monkeypatch)

    edit_params(tree, **{"monitor.min_images": 10, "monitor.source": str(tmp_path / "new")})
    repro(tree)
    headstart(tree, "register")
    draw_images(tmp_path / "new", {"dark": 0, "light": 0, "white": 30}, seed=5)
    assert "Finished in state Drift" in watch(tree, monkeypatch)
    found = {"event": {"name": ["headstart.drift"]}, "occurred": {"since": "2000-01-01T00:00:00Z"}}
    [event] = wait_for(lambda: ask(server, "events/filter", filter=found)["events"])  # stored in batches
    assert event["resource"]["prefect.resource.id"] == "headstart.model.headstart"
    assert event["payload"]["message"].startswith("models:/headstart/1: drift in 30 images: ")
    assert "brightness" in event["payload"]["checks"]
    [artifact] = ask(server, "artifacts/filter")
    assert "| Brightness | median" in artifact["data"]

    edit_params(tree, **{"monitor.source": None})
    keep(tree / "kept", sorted((tmp_path / "new").rglob("*.png")))
    assert "Finished in state Drift" in watch(tree, monkeypatch)
    texts = [each["data"] for each in ask(server, "artifacts/filter")]
    assert any("30 different images of 30 answers kept in the last 7 days in kept" in text for text in texts)
    names = [each["state_name"] for each in ask(server, "flow_runs/filter")]
    assert sorted(names) == ["Drift", "Drift", "Skipped"]


def keep(folder: Path, images: list[Path]) -> None:
    """Keep images as a server does that answers one request for all of them."""
    answer = ("models:/headstart/1", "dark", {"dark": 1.0}, None)
    files = {hashlib.sha256(data).hexdigest(): data for data in (path.read_bytes() for path in images)}
    rows = [Kept(f"r-{i}", datetime.now(UTC), None, *answer, digest) for i, digest in enumerate(files)]
    with KeptStore(folder, is_new=True) as store:
        store.add(rows, files)
