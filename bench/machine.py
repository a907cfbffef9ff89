"""The machine of a benchmark, the machine's own rate, and where results are kept."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from headstart.ground import runtime
from headstart.ground.settings import Precision

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
IMAGE_FLOP = 30.96e9  # of VGG16's forward pass, two a multiply-add
SIDE = 2048  # of the matrices


def best_of(work: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of some runs, after one that is not counted."""
    work()
    return min(timed(work) for _ in range(times))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - start


def finish() -> None:
    """Wait for the accelerator."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matmul_rate(precision: Precision, side: int = SIDE) -> float:
    """Floating-point operations a second of a square product on the device."""
    dtype = runtime.DTYPES[precision]
    a, b = (torch.randn(side, side).to(runtime.device(), dtype) for _ in range(2))
    return 2 * side**3 / best_of(lambda: a @ b, 8)


def machine() -> dict[str, Any]:
    """The device, how many of it, threads and versions."""
    return {
        "device": runtime.device_name(),
        "devices": len(runtime.devices()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": _git("rev-parse", "--short", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "src", "flows")),
    }


def keep(name: str, result: dict[str, Any], out: Path | None = None) -> None:
    """Write a result as JSON, with the machine that made it, and print it."""
    path = out or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    print(f"kept in {path}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()
