"""Throughput, latency and memory by clients at once: `headstart serve`, MLflow's servers, and plain loops.

    PYTHONPATH=tests/support .venv/bin/python bench/serving_load.py

Each request has one image. All servers run from the start to the end; at each number of clients they take
turns, so that what else the machine does is in all. A narrow network shows what is not the network.
"""

import argparse
import base64
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import ROOT, keep
from servers import free_port, wait_for
from serving import MODEL, registered

CLIENTS = (1, 4, 16, 32, 64)
ENCODED = "application/json"
PYTHON = [sys.executable]


class Way(NamedTuple):
    """How images are answered.

    Attributes:
        command: of a server, with the port in place of `{}`; empty for a loop in this process.
    """

    command: tuple[str, ...]
    door: str = "/predict"
    ready: str = "/ping"


SERVERS = {
    "headstart serve": Way(("-m", "headstart", "serve", MODEL, "--port", "{}"), ready="/healthz"),
    "make serve": Way(("-m", "headstart.versions.serving.server", MODEL, "--port", "{}"), "/invocations"),
    "mlflow models serve": Way(
        ("-m", "mlflow", "models", "serve", "-m", MODEL, "--env-manager", "local", "--port", "{}"),
        "/invocations",
    ),
    "FastAPI without batches": Way((str(ROOT / "bench/plain_server.py"), MODEL, "{}")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32, help="files, and those that the head is trained on")
    parser.add_argument("--seconds", type=float, default=6, help="per way and number of clients")
    parser.add_argument("--widths", type=int, nargs="+", default=(64, 4), help="of the network: 64 is VGG16")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    found = {}
    for width in chosen.widths:  # each in a process of its own: MLflow keeps its servers in the environment
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            asked = pool.submit(measure_width, width, chosen.images, chosen.clients, chosen.seconds)
            found[width] = asked.result()
    keep("serving_load", {"load_at_start": load, "image": "500 x 375 JPEG", "widths": found}, chosen.out)


def measure_width(width: int, count: int, clients: list[int], seconds: float) -> dict[str, object]:
    with registered(count, width, "fp32") as version:
        return measure([path.read_bytes() for path in version.files], clients, seconds)


def measure(images: list[bytes], clients: list[int], seconds: float) -> dict[str, object]:
    """Rows by way and number of clients, and the memory of each server at rest and at most, in MB."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(served(way)) for name, way in SERVERS.items()}
        rows = measure_loops(images, seconds)
        rest = {}
        for name, (process, port) in running.items():
            run_clients(port, SERVERS[name], images, 1, 0)
            rest[name] = memory_mb(process, "VmRSS")
        for count in clients:
            for name, (process, port) in running.items():
                used = cpu_seconds(process)
                wall, latencies = run_clients(port, SERVERS[name], images, count, seconds)
                rows.append(row_of(name, count, wall, latencies, cpu_seconds(process) - used))
        most = {name: memory_mb(process, "VmHWM") for name, (process, _) in running.items()}
    return {"rows": rows, "rest_mb": rest, "peak_mb": most}


def measure_loops(images: list[bytes], seconds: float) -> list[dict[str, object]]:
    """A loop over images in this process, and one over batches of 16 with decoding beside the network."""
    from headstart.versions.serving.opening import open_model
    from headstart.versions.serving.scoring import score_items

    predictor = open_model(MODEL, None).predictor

    def in_batches(given: list[bytes]) -> None:
        for _ in score_items(given * 16, bytes, predictor, 16):
            continue

    rows = []
    for name, per_step, answer in (
        ("loop", 1, lambda image: predictor.predict([image])),
        ("loop in batches of 16", 16, lambda image: in_batches([image])),
    ):
        answer(images[0])
        latencies: list[float] = []
        began, used = time.perf_counter(), time.process_time()
        for image in itertools.cycle(images):
            start = time.perf_counter()
            answer(image)
            latencies += [time.perf_counter() - start] * per_step
            if time.perf_counter() - began > seconds and len(latencies) > 2 * per_step:
                break
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        rows.append(row_of(name, 1, wall, latencies, cpu))
    return rows


def row_of(way: str, clients: int, wall: float, latencies: list[float], cpu: float) -> dict[str, object]:
    row = {
        "way": way,
        "clients": clients,
        "images": len(latencies),
        "images_per_s": len(latencies) / wall,
        **{f"p{share}_s": float(np.quantile(latencies, share / 100)) for share in (50, 95, 99)},
        "cpu_s_per_image": cpu / len(latencies),
    }
    print(row, flush=True)
    return row


def run_clients(
    port: int, way: Way, images: list[bytes], count: int, seconds: float
) -> tuple[float, list[float]]:
    """Seconds in all, and per request of clients that ask again once they are answered, twice at least."""
    latencies: list[float] = []
    began = time.perf_counter()

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        for turn in itertools.count():
            kind, body = request_of(way, images[(number + turn) % len(images)])
            start = time.perf_counter()
            connection.request("POST", way.door, body, {"Content-Type": kind})
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, said
            latencies.append(time.perf_counter() - start)
            if turn and time.perf_counter() - began > seconds:
                connection.close()
                return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, latencies


def request_of(way: Way, image: bytes) -> tuple[str, bytes]:
    """Content type and body: MLflow's servers take Base64 in JSON, the others the image itself."""
    if way.door != "/invocations":
        return "image/jpeg", image
    rows = [[base64.b64encode(image).decode()]]
    return ENCODED, json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()


@contextmanager
def served(way: Way) -> Iterator[tuple[int, int]]:
    """Start a server; the id of the process that answers, and its port."""
    port = free_port()
    command = PYTHON + [part.format(port) for part in way.command]
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, "PATH": programs}
        )
        try:
            try:
                wait_for(f"http://127.0.0.1:{port}{way.ready}")
            except OSError as error:
                log.seek(0)
                sys.exit(f"{' '.join(command)} does not answer: {error}\n{log.read().decode()}")
            yield largest_of(process.pid), port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def largest_of(session: int) -> int:
    """The process of a session that holds most memory: MLflow starts its server through a shell."""
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    own = [pid for pid in found if _field(pid, 3) == session]
    return max(own, key=lambda pid: memory_mb(pid, "VmRSS"))


def cpu_seconds(process: int) -> float:
    """Seconds of processor time that a process has used."""
    return (_field(process, 11) + _field(process, 12)) / os.sysconf("SC_CLK_TCK")


def _field(process: int, number: int) -> int:
    """A field of proc(5)'s stat, counted from the state; 0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[number])
    except OSError:
        return 0


def memory_mb(process: int, name: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return round(int(found[0]) * 1024 / 1e6, 1) if found else 0.0


if __name__ == "__main__":
    main()
