"""How long does the stage inspect take for so many images, and how much memory does it hold?

Photographs of a folder are repeated, each time shifted; the features are drawn around one centre per class.
Each size runs in a process of its own.

PYTHONPATH=tests/support .venv/bin/python bench/inspection.py --data FOLDER
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from machine import ROOT, keep
from packed import hold

from headstart.pipeline.data.decoding import read_picture
from headstart.pipeline.features.feature_file import TENSOR
from headstart.pipeline.network import checkpoint

WIDTH = 512  # numbers of a row, as after VGG16's last pooling, averaged
STAGE = """
import sys, time
from headstart.params import load_params
from pathlib import Path
from headstart.pipeline.inspection.stage import run
start = time.perf_counter()
print(run(load_params(Path(sys.argv[1])).inspect_), file=sys.stderr)
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--images", type=int, nargs="+", default=[4000, 50000])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = []
    for count in chosen.images:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), chosen.data, count)
            rows.append({"images": count, **measured(Path(folder))})
    keep("inspection", {"rows": rows}, chosen.out)


def small(path: Path) -> np.ndarray:
    """The picture at 256 x 256."""
    with read_picture(path.read_bytes()) as picture:
        return np.asarray(picture.rgb.resize((256, 256)))


def make(root: Path, data: Path, count: int) -> None:
    """The outs of the earlier stages for `count` images."""
    (root / "artifacts").mkdir()
    random = np.random.default_rng(0)
    files = sorted(path for path in data.rglob("*") if path.suffix.lower() in {".jpg", ".png"})
    photographs = [small(path) for path in files[:200]]
    corners = random.integers(0, 32, (count, 2))
    pictures = (
        photographs[number % 200][top : top + 224, left : left + 224]
        for number, (top, left) in enumerate(corners)
    )
    labels = np.array([f"class{number % 10}" for number in range(count)])
    table = pd.DataFrame({"path": [f"{name}/{n}.jpg" for n, name in enumerate(labels)], "label": labels})
    table["pixels"] = [f"{number:064x}" for number in range(count)]
    table["split"], table["group"] = "train", ""
    os.environ["HEADSTART_CACHE"] = str(root / "store")
    hold(pictures, table).to_parquet(root / "artifacts/images.parquet")
    facts = table[["path"]].assign(width=500, height=375, similar="")
    facts.to_parquet(root / "artifacts/manifest.parquet")
    centres = random.normal(size=(10, WIDTH))
    features = torch.empty(count, WIDTH)
    for number in range(count):
        features[number] = torch.from_numpy(centres[number % 10] + 3 * random.normal(size=WIDTH))
    metadata = {"cut": "features.30", "views": None}
    checkpoint.save(root / "artifacts/features.safetensors", {TENSOR: features}, metadata)


def measured(root: Path) -> dict[str, float]:
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", STAGE, str(ROOT / "params.yaml")],
        cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": float(done.stdout.split()[-1]),
        "seconds_of_the_process": time.perf_counter() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime - start.ru_utime - start.ru_stime,
        "most_mb": used.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
