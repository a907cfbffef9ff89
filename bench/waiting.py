"""Threads that sleep while they wait (headstart's default) against threads that spin (OpenMP's default).

The frozen pass at full and at narrow width, and the training of a head on stored features; on the machine as
it is, and beside one and two busy processes. Two processes, one per policy, take turns; the digests of what
they compute must be equal.

    .venv/bin/python bench/waiting.py
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from backbone import Memory, pack
from machine import ROOT, keep
from trials import make_features

from headstart.ground import runtime
from headstart.params import load_params
from headstart.pipeline.features.compute import Forward, write_features
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.modules import prefix_of
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors
from headstart.pipeline.pixels.transforms import transform_of
from headstart.pipeline.training.one_head import train_head
from headstart.pipeline.training.training_data import TrainingData

# 300,000 turns of the loop are libgomp's default; named, as headstart sets a policy in every process
POLICIES = {"sleeping": {"OMP_WAIT_POLICY": "passive"}, "spinning": {"GOMP_SPINCOUNT": "300000"}}
PASSES = {"frozen pass, width 64": (64, 32), "frozen pass, width 4": (4, 256)}  # width, images
TRAINING, ROWS, EPOCHS = "training of a head", 4_000, 3


class Result(NamedTuple):
    """Images that went through, counted once per epoch, and the SHA-256 of what came out."""

    images: int
    digest: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="numbers of busy processes")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--compute", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.compute:
        compute()
        return
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        processes = {name: stack.enter_context(computing(own)) for name, own in POLICIES.items()}
        rows = [row for busy in chosen.busy for row in measure(processes, busy, chosen.rounds)]
    keep("waiting", {"load_before": load, "rounds": chosen.rounds, "rows": rows}, chosen.out)


def measure(
    processes: dict[str, "subprocess.Popen[str]"], busy: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Images per second of each work by policy, beside busy processes; medians of rounds that alternate."""
    for work in (*PASSES, TRAINING):
        rates: dict[str, list[float]] = {name: [] for name in processes}
        digests = set()
        with busy_processes(busy):
            for _ in range(rounds):
                for name, process in processes.items():
                    answer = ask(process, work)
                    rates[name].append(answer["images_per_s"])
                    digests.add(answer["digest"])
        medians = {name: statistics.median(found) for name, found in rates.items()}
        row = {"work": work, "busy": busy, **medians, "ratio": medians["sleeping"] / medians["spinning"]}
        row |= {"same_bytes": len(digests) == 1, "all": rates}
        print(row, file=sys.stderr, flush=True)
        yield row


@contextmanager
def computing(policy: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A process of this script that computes what it is asked for."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    with subprocess.Popen(
        [sys.executable, __file__, "--compute"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**inherited, **policy},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: "subprocess.Popen[str]", work: str) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    print(work, file=process.stdin, flush=True)
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def compute() -> None:
    """Do each work that a line of the input names, and print its rate and the digest of what came out."""
    runtime.make_deterministic(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = {work: frozen_pass(folder, *size) for work, size in PASSES.items()} | {
            TRAINING: training(folder)
        }
        for work in works.values():
            work()
        for line in sys.stdin:
            start = time.perf_counter()
            found = works[line.strip()]()
            rate = found.images / (time.perf_counter() - start)
            print(json.dumps({"images_per_s": rate, "digest": found.digest}), flush=True)


def frozen_pass(folder: Path, width: int, count: int) -> Callable[[], Result]:
    """The features stage's own loop in fp32, with an empty store."""
    network = plan(NetworkSpec("vgg16", width, "linear", ("a", "b")))
    prefix = prefix_of(network)
    prefix.load(dict(random_tensors(vgg_layers("vgg16", width), 0)))
    replicas = Forward(prefix, transform_of("vgg16", "IMAGENET1K_V1"), "fp32", 16).prepared()
    images = pack(folder / f"images-{width}.npy", count)
    keys = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(count)]
    out = folder / f"features-{width}"

    def work() -> Result:
        with out.open("wb") as file:
            shape = (count, *network.feature_shape)
            writer = checkpoint.RowWriter(file, "features", shape, runtime.DTYPES["fp32"], {})
            write_features(replicas, images, keys, Memory(), "00" * 32, writer)
        return Result(count, hashlib.sha256(out.read_bytes()).hexdigest())

    return work


def training(folder: Path) -> Callable[[], Result]:
    """Epochs of `classifier.6` over stored features of full width, in batches of 32."""
    network = plan(NetworkSpec("vgg16", 64, "linear", ("a", "b")))
    features, train, val = make_features(folder, ROWS)
    settings = load_params(ROOT / "params.yaml").train.changed(lr=1e-3, epochs=EPOCHS, patience=99)

    def work() -> Result:
        runtime.make_deterministic(0)
        head = starting_head(network, Path("no backbone is read"), 0)
        found = train_head(TrainingData(network, features, train, val), head, settings)
        trained = b"".join(tensor.numpy().tobytes() for tensor in found.tensors.values())
        return Result(EPOCHS * ROWS, hashlib.sha256(trained).hexdigest())

    return work


if __name__ == "__main__":
    main()
