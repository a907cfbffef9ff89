"""Do bf16 and fp32 predict alike? The whole pipeline in each, on the same images, compared by test image.

.venv/bin/python bench/agreement.py
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from machine import keep
from workspace import Workspace, draw_photographs

from headstart.pipeline.evaluation.intervals import wilson


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="60 % of them are test images")
    parser.add_argument("--heads", nargs="+", default=["pooled", "linear"])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_photographs(folder / "photographs", chosen.images)
        project = Workspace.make(
            folder,
            folder / "photographs",
            **{"split.train": 0.25, "split.val": 0.15, "split.test": 0.6},
        )
        rows = [compare(project, head) for head in chosen.heads]
    keep("agreement", {"images": chosen.images, "rows": rows}, chosen.out)


def compare(project: Workspace, head: str) -> dict[str, object]:
    """Train and predict in both precisions."""
    found = {}
    for precision in ("fp32", "bf16"):
        project.set_params(**{"features.precision": precision, "model.head": head})
        project.dvc("repro")
        found[precision] = pd.read_parquet(project.root / "artifacts" / "predictions.parquet")
    fp32, bf16 = found["fp32"], found["bf16"]
    assert fp32["path"].tolist() == bf16["path"].tolist()
    same = int((fp32["predicted"] == bf16["predicted"]).sum())
    names = [name for name in fp32 if name.startswith("probability:")]
    interval = wilson(same, len(fp32), 0.95)
    row = {
        "head": head,
        "test_images": len(fp32),
        "same": same,
        "agreement": same / len(fp32),
        "agreement_interval": [interval.low, interval.high],
        "accuracy_fp32": float((fp32["predicted"] == fp32["label"]).mean()),
        "accuracy_bf16": float((bf16["predicted"] == bf16["label"]).mean()),
        "largest_probability_difference": float(np.abs(fp32[names] - bf16[names]).to_numpy().max()),
    }
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
