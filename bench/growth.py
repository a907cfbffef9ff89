"""Costs of each stage as the data grows: from nothing, again with nothing new, and with 1 % new images.

CPU seconds, peak memory and bytes at rest. Small distinct JPEG files of 72 pixels, a network of width 4, a
linear head. DVC runs the stages one by one.

    .venv/bin/python bench/growth.py --images 1000 10000
"""

import argparse
import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import keep
from PIL import Image
from ruamel.yaml import YAML
from workspace import Workspace

SIDE, DETAILS = 72, 8  # pixels of a picture, and of the noise that it is enlarged from
PARAMS: dict[str, Any] = {"backbone.width": 4, "model.head": "linear", "train.epochs": 3}
PHASES: dict[str, tuple[str, ...]] = {
    "cold": (),
    "again": ("--force",),
    "one_percent": (),
}  # with options of `dvc repro`
APART = (".git", ".dvc")  # of the workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for count in chosen.images:
        with tempfile.TemporaryDirectory() as name:
            rows += measure(Path(name), count)
        print(rows[-1], flush=True)
    keep("growth", {"side": SIDE, "width": PARAMS["backbone.width"], "rows": rows}, chosen.out)


def measure(folder: Path, count: int) -> list[dict[str, Any]]:
    draw(folder / "pictures", range(count))
    project = Workspace.make(folder, folder / "pictures", **PARAMS)
    names = list(YAML(typ="safe").load(project.root / "dvc.yaml")["stages"])
    rows: list[dict[str, Any]] = []
    for phase, options in PHASES.items():
        if phase == "one_percent":
            draw(project.root / "data", range(count, count + count // 100))
            project.dvc("add", "--quiet", "data")
        rows += [{"images": count, "phase": phase, **run(project, stage, options)} for stage in names]
    return rows


def run(project: Workspace, stage: str, options: tuple[str, ...]) -> dict[str, Any]:
    """One stage by DVC; `dvc_cpu_s` is what DVC itself took. A stage that DVC skips costs nothing."""
    before = children_cpu_s()
    project.dvc("repro", "--single-item", *options, stage)
    used = children_cpu_s() - before
    ran = project.stages()
    cpu_s = sum(each["cpu_s"] for each in ran)
    return {
        "stage": stage,
        "cpu_s": round(cpu_s, 2),
        "dvc_cpu_s": round(used - cpu_s, 2),
        "peak_mb": round(max((each["peak_mb"] for each in ran), default=0)),
        **at_rest(project.root),
    }


def at_rest(root: Path) -> dict[str, float]:
    """Megabytes in the workspace, in DVC's cache and in the store."""
    parts = {
        "workspace_mb": sizes(root, APART),
        "cache_mb": sizes(root / ".dvc" / "cache"),
        "store_mb": sizes(root.parent / "store"),
    }
    return {name: round(sum(found) / 1e6, 1) for name, found in parts.items()}


def sizes(folder: Path, apart: tuple[str, ...] = ()) -> Iterator[int]:
    for above, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in apart]
        yield from (Path(above, name).lstat().st_size for name in files)


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def draw(folder: Path, numbers: range) -> None:
    """Pictures of enlarged noise in two classes, each with another picture."""
    for number in numbers:
        noise = np.random.default_rng(number).integers(0, 256, (DETAILS, DETAILS, 3), np.uint8)
        path = folder / ("even", "odd")[number % 2] / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=85)


if __name__ == "__main__":
    main()
