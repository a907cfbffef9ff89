"""The article's head, from `dvc repro` to an answer over HTTP."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from projects import draw_images, edit_params, make_repository, repro, run

pytestmark = pytest.mark.server
START_SECONDS = 120


@pytest.fixture
def served(tree: Path) -> Iterator[tuple[Path, str]]:
    """A project whose `classifier.6` is trained and registered, and the address that serves it."""
    draw_photographs(tree / "data")
    edit_params(tree, **{"model.head": "linear", "register.thresholds.accuracy": 0.0})
    edit_params(tree, **{"register.thresholds.balanced_accuracy": 0.0})
    make_repository(tree)
    repro(tree)
    out = run(tree, str(tree / "bin" / "headstart"), "register").stdout
    assert "version 1 registered (alias: challenger, champion)" in out
    port = free_port()
    environment = {**os.environ, "SERVE_PORT": str(port), "HEADSTART_PYTHON": sys.executable}
    command = ["sh", "mlflow/serve-model", "models:/headstart@champion"]
    with (tree / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tree, env=environment, start_new_session=True, stdout=log, stderr=log
        )
    try:
        wait_until_up(port, server, tree / "serve.log")
        yield tree, f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def draw_photographs(data: Path) -> None:
    """JPEG files of three classes."""
    draw_images(data, {"red": 15, "green": 15, "blue": 15})
    for path in list(data.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"), quality=85)
        path.unlink()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_up(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def ask(address: str, images: list[bytes]) -> list[dict[str, object]]:
    rows = [[base64.b64encode(image).decode()] for image in images]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        predictions: list[dict[str, object]] = json.load(answer)["predictions"]
    return predictions


def test_the_served_champion_answers_what_evaluate_wrote(served: tuple[Path, str]) -> None:
    root, address = served
    expected = pd.read_parquet(root / "artifacts/predictions.parquet")
    images = [(root / "data" / path).read_bytes() for path in expected["path"]]
    one_by_one = [ask(address, [image])[0] for image in images]
    for answers in (one_by_one, ask(address, images)):
        for answer, row in zip(answers, expected.to_dict(orient="records"), strict=True):
            assert answer["label"] == row["predicted"]
            probabilities = answer["probabilities"]
            assert isinstance(probabilities, dict)
            assert set(probabilities) == {"red", "green", "blue"}
            for name, value in probabilities.items():
                assert abs(value - row[f"probability:{name}"]) < 1e-3
