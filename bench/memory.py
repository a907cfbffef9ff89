"""Peak memory of every stage as the number of images grows: `classifier.6`, bf16 where the processor has it.

.venv/bin/python bench/memory.py
"""

import argparse
import tempfile
from pathlib import Path

from machine import keep
from workspace import Workspace, draw_photographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--width", type=int, default=64, help="of the network: 64 is VGG16")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    peaks: dict[str, dict[str, float]] = {}
    for count in chosen.images:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            draw_photographs(folder / "photographs", count)
            params = {"features.precision": chosen.precision, "model.head": "linear", "train.epochs": 3}
            params["backbone.width"] = chosen.width
            project = Workspace.make(folder, folder / "photographs", **params)
            project.dvc("repro")
            project.commit()
            project.run("bin/headstart", "register")
            for stage in project.stages():
                peaks.setdefault(stage["command"], {})[str(count)] = round(stage["peak_mb"])
        print(count, peaks, flush=True)
    keep("memory", {"width": chosen.width, "precision": chosen.precision, "peak_mb": peaks}, chosen.out)


if __name__ == "__main__":
    main()
