"""`headstart serve` as a program: the answers of evaluate, and a promotion without a restart."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from projects import headstart
from registries import uri_of
from serve_process import make_two_versions, serving
from served_http import form
from servers import free_port, wait_for

from headstart.cli.main import main

pytestmark = pytest.mark.server
START_SECONDS = 120
MODEL = "models:/headstart/1"


@pytest.fixture(scope="module")
def registered(common: Path) -> Path:
    """A project with version 1 as the champion, and version 2."""
    root = common / "project"
    make_two_versions(root)
    return root


def ask(address: str, *paths: Path) -> list[dict[str, Any]]:
    body, kind = form(*((path.name, path.read_bytes()) for path in paths))
    request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answers: list[dict[str, Any]] = json.load(answer)["answers"]
    return answers


def test_it_answers_what_evaluate_wrote_and_follows_promotions(registered: Path) -> None:
    expected = pd.read_parquet(registered / "predictions.parquet")
    paths = [registered / "data" / path for path in expected["path"]]
    with serving(registered, "--follow-seconds", "0.2") as (address, server):
        for found, row in zip(ask(address, *paths), expected.to_dict(orient="records"), strict=True):
            assert found["label"] == row["predicted"]
            assert found["model_version"] == "models:/headstart/1"
            for name, value in found["probabilities"].items():
                assert abs(value - row[f"probability:{name}"]) < 1e-3
        for command, version in ((("promote", "models:/headstart/2"), 2), (("rollback",), 1)):
            headstart(registered, *command)
            until = time.monotonic() + START_SECONDS
            while ask(address, paths[0])[0]["model_version"] != f"models:/headstart/{version}":
                assert time.monotonic() < until
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 143


def test_the_server_of_make_serve_leaves_nothing_behind(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered)
    port, files = free_port(), tmp_path / "files"
    files.mkdir()
    command = [sys.executable, "-m", "headstart.versions.serving.server", MODEL, "--port", str(port)]
    uri = uri_of(registered)
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(files), "MLFLOW_TRACKING_URI": uri}
    ) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/ping")
            assert list(files.glob("headstart-model-*"))
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 143
    assert list(files.glob("headstart-model-*")) == []


def test_it_does_not_start_for_other_machines_without_a_word(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered)
    for options, reason in (
        (("--host", "0.0.0.0"), "or answer anyone: --open"),
        (("--max-batch", "0"), "--max-batch is 0; expected 1 to 256"),
        (("models:/headstart@none",), "there is no models:/headstart@none"),
        (("none.safetensors",), "there is no head file none.safetensors"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["serve", "--port", "0", *options])
        assert reason in str(ended.value)
