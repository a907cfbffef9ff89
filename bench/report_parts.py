"""How long do the report's slices, learning curve and cross-validation take, and in how much memory?

Images are drawn noise, features are drawn around one centre per class; a fifth of the images each is for
validation and test. Each size runs in a process of its own.

PYTHONPATH=tests/support .venv/bin/python bench/report_parts.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from machine import ROOT, keep
from packed import hold

from headstart.pipeline.features.feature_file import TENSOR
from headstart.pipeline.network import checkpoint

WIDTH = 512  # numbers of a row, as after VGG16's last pooling, averaged
SPLITS = {"train": 0.6, "val": 0.2, "test": 0.2}
PARTS = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.params import load_params
from headstart.pipeline.evaluation.metrics import classification_metrics
from headstart.pipeline.evaluation.results import Results, Validation
from headstart.pipeline.evaluation.sections import cross_validation, learning_curve, slices
from headstart.pipeline.features.feature_file import Features

options = load_params(Path(sys.argv[1])).evaluate
images = load_table(paths.IMAGE_TABLE)
classes = tuple(sorted(images["label"].unique()))
table = images.assign(row=range(len(images)))[images["split"] == "test"]
labels = table["label"].map({name: place for place, name in enumerate(classes)}).to_numpy()
random = np.random.default_rng(0)
probabilities = random.dirichlet(np.ones(len(classes)), len(labels))
probabilities[np.arange(len(labels)), labels] += random.random(len(labels)) < 0.8
probabilities /= probabilities.sum(1, keepdims=True)
metrics = classification_metrics(labels, probabilities, classes, confidence=0.95, resamples=10, seed=0)
head = {"cut": "features.30"}
results = Results(
    options, head, images, Features(paths.FEATURES), table, labels, probabilities, classes, metrics,
    Validation(range(0), labels[:0], probabilities[:0]),
)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = {}
parts = {
    "vectors": lambda: results.vectors,
    "cross-validation": lambda: cross_validation.section(results),
    "learning curve": lambda: learning_curve.section(results),
    "slices": lambda: slices.section(results),
}
for name, part in parts.items():
    start, cpu = time.perf_counter(), time.process_time()
    part()
    found[name] = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"parts": found, "mb_before": before, "most_mb": most}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20000, help="of all splits")
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = []
    for classes in chosen.classes:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), chosen.images, classes)
            rows.append({"images": chosen.images, "classes": classes, **measured(Path(folder))})
            print(rows[-1], file=sys.stderr)
    keep("report_parts", {"rows": rows}, chosen.out)


def make(root: Path, count: int, classes: int) -> None:
    """The outs of the earlier stages that these parts read."""
    (root / "artifacts").mkdir()
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (50, 224, 224, 3), dtype=np.uint8)
    labels = np.array([f"class{number % classes:04}" for number in range(count)])
    table = pd.DataFrame({"path": [f"{name}/{n}.jpg" for n, name in enumerate(labels)], "label": labels})
    table["pixels"] = [f"{number:064x}" for number in range(count)]
    ends = np.cumsum([round(share * count) for share in SPLITS.values()])
    table["split"] = np.array([*SPLITS])[np.searchsorted(ends, np.arange(count), side="right")]
    table["group"] = ""
    os.environ["HEADSTART_CACHE"] = str(root / "store")
    hold((pictures[number % 50] for number in range(count)), table).to_parquet(
        root / "artifacts/images.parquet"
    )
    facts = table[["path", "label"]].assign(format="JPEG", mode="RGB", similar="", excluded="")
    facts["width"], facts["height"] = random.integers(200, 900, (2, count))
    for name in ("camera", "site"):
        facts[f"column:{name}"] = random.integers(0, 12, count).astype(str)
    facts.to_parquet(root / "artifacts/manifest.parquet")
    centres = random.normal(size=(classes, WIDTH)).astype(np.float32)
    features = torch.empty(count, WIDTH)
    for number in range(count):
        noise = random.standard_normal(WIDTH, np.float32)
        features[number] = torch.from_numpy(centres[number % classes] + 3 * noise)
    metadata = {"cut": "features.30", "views": None}
    checkpoint.save(root / "artifacts/features.safetensors", {TENSOR: features}, metadata)


def measured(root: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PARTS, str(ROOT / "params.yaml")],
        cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
