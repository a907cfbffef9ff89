"""Throughput and latency of a registered version by images per request, and of `headstart score`.

The whole VGG16 (random weights) with the article's head; each request has its images as JPEG bytes.

    PYTHONPATH=tests/support .venv/bin/python bench/serving.py
"""

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import keep
from servers import free_port, mlflow_server, wait_for
from workspace import Workspace, draw_photographs

MODEL = "models:/headstart/1"
BATCHES = (1, 2, 4, 8, 16, 32)
SCORED = 256  # rows of the list that `headstart score` has; the files come again and again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64, help="files, and those that the head is trained on")
    parser.add_argument("--seconds", type=float, default=8, help="a batch size and way")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--width", type=int, default=64, help="less is a narrow network, to try the script")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]  # what others do at the start: a benchmark's own load is not counted
    with registered(chosen.images, chosen.width, chosen.precision) as version:
        images = [path.read_bytes() for path in version.files]
        rows = measure({"over HTTP": over_http, "in process": in_process}, images, chosen.seconds)
        scored = [time_scoring(version, count) for count in (1, SCORED)]
    result = {
        "precision": chosen.precision,
        "width": chosen.width,
        "server": "make serve",
        "image": "500 x 375 JPEG",
        "load_at_start": load,
        "rows": rows,
        "score": {"images": SCORED, "wall_s": scored[1], "of_one_image_s": scored[0]},
    }
    keep("serving", result, chosen.out)


class Registered(NamedTuple):
    """A project whose version 1 is registered, the address of its MLflow server, and its photographs."""

    project: Workspace
    tracking: str
    files: list[Path]


@contextmanager
def registered(images: int, width: int, precision: str) -> Iterator[Registered]:
    """Train and register `classifier.6`; this process is set to that server and store meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = folder / "photographs"
        draw_photographs(photographs, images)
        params = {
            "model.head": "linear",
            "features.precision": precision,
            "backbone.width": width,
            "validate.min_images_per_class": 1,
            "register.thresholds": {"accuracy": 0.0, "balanced_accuracy": 0.0},
            "gate.behaviour_images": 1,  # the gate's figures are not of interest here
        }
        project = Workspace.make(folder, photographs, **params)
        with mlflow_server(folder / "servers") as tracking:
            os.environ |= {"MLFLOW_TRACKING_URI": tracking, "HEADSTART_CACHE": str(folder / "store")}
            project.dvc("repro")
            project.commit()
            project.run(str(project.root / "bin" / "headstart"), "register", MLFLOW_TRACKING_URI=tracking)
            yield Registered(project, tracking, sorted(photographs.rglob("*.jpg")))


Ask = Callable[[list[bytes]], int]


def measure(
    ways: dict[str, Callable[[], AbstractContextManager[Ask]]], images: list[bytes], seconds: float
) -> list[dict[str, object]]:
    """A row a batch size and way: requests one after the other, each with other images.

    The ways take turns at each batch size, so that what else the machine does is in both.
    """
    with ExitStack() as stack:
        asked = {way: stack.enter_context(opened()) for way, opened in ways.items()}
        return [
            measure_one(way, ask, images, batch, seconds) for batch in BATCHES for way, ask in asked.items()
        ]


def measure_one(way: str, ask: Ask, images: list[bytes], batch: int, seconds: float) -> dict[str, object]:
    latencies = time_requests(ask, images, batch, seconds)
    row = {
        "way": way,
        "batch": batch,
        "requests": len(latencies),
        "images_per_s": batch * len(latencies) / sum(latencies),
        "median_s": float(np.median(latencies)),
        "p95_s": float(np.quantile(latencies, 0.95)),
    }
    print(row, flush=True)
    return row


def time_requests(ask: Ask, images: list[bytes], batch: int, seconds: float) -> list[float]:
    """Seconds of each request, after one that is not counted; at least three."""
    ask(take(images, 0, batch))
    latencies: list[float] = []
    while len(latencies) < 3 or sum(latencies) < seconds:
        request = take(images, len(latencies) * batch, batch)
        start = time.perf_counter()
        answered = ask(request)
        latencies.append(time.perf_counter() - start)
        assert answered == batch
    return latencies


def take(images: list[bytes], start: int, count: int) -> list[bytes]:
    return [images[(start + number) % len(images)] for number in range(count)]


def time_scoring(version: Registered, count: int) -> float:
    """Seconds of `headstart score` with a list of `count` files, from its start to its end."""
    project, files = version.project, version.files
    source, out = project.root.parent / f"{count}.txt", project.root.parent / f"{count}.parquet"
    source.write_text("\n".join(str(files[number % len(files)]) for number in range(count)))
    command = [str(project.root / "bin" / "headstart"), "score", str(source), str(out), "--model", MODEL]
    return project.run(*command, MLFLOW_TRACKING_URI=version.tracking)


@contextmanager
def in_process() -> Iterator[Ask]:
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model(MODEL)

    def ask(images: list[bytes]) -> int:
        return int(model.predict(pd.DataFrame({"image": images}))["label"].notna().sum())

    yield ask


@contextmanager
def over_http() -> Iterator[Ask]:
    with served() as (_, address):
        yield lambda images: post(address, images)


@contextmanager
def served() -> Iterator[tuple[int, str]]:
    """Serve the version as `make serve` does; the process's id, and the address to post to."""
    port = free_port()
    command = [sys.executable, "-m", "headstart.versions.serving.server", MODEL, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(f"http://127.0.0.1:{port}/ping")
            yield process.pid, f"http://127.0.0.1:{port}/invocations"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def post(address: str, images: list[bytes]) -> int:
    rows = [[base64.b64encode(image).decode()] for image in images]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return sum(row["label"] is not None for row in json.load(answer)["predictions"])


if __name__ == "__main__":
    main()
