"""`dvc repro` from nothing, with 1 % new images, and with nothing to do; a scheduled flow with nothing to do.

Compared in the same run with one bare forward pass (torchvision's model, the same precision) and with the
origin article's own loop. 4,000 JPEG files of 500 x 375 pixels, `classifier.6`, 10 epochs, random weights.

    PYTHONPATH=tests/support .venv/bin/python bench/pipeline.py
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from article import article_epochs
from backbone import plain_model
from machine import ROOT, finish, keep, matmul_rate, timed
from matplotlib.figure import Figure
from servers import servers
from workspace import Workspace, draw_photographs

from headstart.ground import runtime
from headstart.pipeline.evaluation.canvas import BLUE, png_of
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors

EPOCHS, MANY = 10, 60
HEAVY = ("torch", "torchvision", "great_expectations", "matplotlib")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--article-images", type=int, default=300)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        keep("pipeline", measure(Path(name), chosen), chosen.out)


def measure(folder: Path, chosen: argparse.Namespace) -> dict[str, object]:
    count = chosen.images
    photographs = folder / "photographs"
    draw_photographs(photographs, count)
    params = {
        "features.precision": chosen.precision,
        "model.head": "linear",
        "train.epochs": EPOCHS,
        "train.patience": MANY,
    }
    project = Workspace.make(folder, photographs, **params)
    before = bare_seconds(chosen.precision)
    cold = project.dvc("repro")
    stages = project.stages()
    after = bare_seconds(chosen.precision)
    bare = count * (before + after) / 2
    nothing = [project.dvc("repro") for _ in range(5)]
    changed = change(project.root / "data", count)
    added = project.dvc("add", "--quiet", "data")
    some = project.dvc("repro")
    some_stages = project.stages()
    project.set_params(**{"train.epochs": MANY})
    longer = project.dvc("repro")
    by_name = {stage["command"]: stage["wall_s"] for stage in project.stages()}
    own = {stage["command"]: stage["wall_s"] for stage in some_stages}
    epoch = (by_name["train"] - own["train"]) / (MANY - EPOCHS)
    article = article_seconds(folder, photographs, chosen.article_images)
    compute = sum(stage["wall_s"] for stage in stages if stage["command"] == "features")
    result = {
        "images": count,
        "precision": chosen.precision,
        "cold_s": cold,
        "bare_forward_s": bare,
        "cold_to_bare": cold / bare,
        "matmul_forward_s": count * 30.96e9 / matmul_rate(chosen.precision),
        "stages": stages,
        "nothing_changed_s": min(nothing),
        "images_changed": changed,
        "dvc_add_s": added,
        "one_percent_s": some,
        "one_percent_allowed_s": 0.03 * compute + 20,
        "one_percent_stages": some_stages,
        "train_again_s": longer,
        "epoch_s": epoch,
        "article_s_per_image": article,
        "factor_at_10_epochs": article * count * EPOCHS / cold,
        "factor_at_60_epochs": article * count * MANY / (cold + (MANY - EPOCHS) * epoch),
    }
    print(result, flush=True)
    result |= flows(project, folder)
    plot(cold, epoch, article * count, ROOT / "docs" / "epochs.png")
    return result


def bare_seconds(precision: str) -> float:
    """Seconds an image of torchvision's model, channels last, 16 at once."""
    model = plain_model(dict(random_tensors(vgg_layers("vgg16", 64), 0)), precision)
    batch = torch.randn(16, 3, 224, 224).to(runtime.device(), runtime.DTYPES[precision])
    batch = batch.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(16):
                model(batch)
        finish()

    run()
    return timed(run) / 256


def change(data: Path, count: int) -> int:
    """Half a percent of the files get other pictures, and as many new ones come."""
    some = count // 200
    spare = data.parent.parent / "spare"
    draw_photographs(spare, 2 * some, first=10 * count)
    files = sorted(spare.rglob("*.jpg"))
    for old, new in zip(sorted(data.rglob("*.jpg"))[: count : count // some], files[::2], strict=False):
        shutil.copyfile(new, old)
    for new in files[1::2]:
        shutil.copyfile(new, data / new.parent.name / f"new-{new.name}")
    return len(files)


def article_seconds(folder: Path, photographs: Path, count: int) -> float:
    """Seconds an image and epoch of the article's loop, the mean of two epochs over some of the files."""
    some = folder / "some"
    for label in photographs.iterdir():
        (some / label.name).mkdir(parents=True)
        for file in sorted(label.iterdir())[: count // 2]:
            shutil.copyfile(file, some / label.name / file.name)
    return sum(article_epochs(some, 2)) / 2 / count


def flows(project: Workspace, folder: Path) -> dict[str, object]:
    """The flow when nothing has changed since it ran, against running servers."""
    project.commit()
    with servers(folder / "servers") as environment:
        first = project.flow(**environment)
        project.stages()
        again = [project.flow(**environment) for _ in range(3)]
        extra = {**project.environment, **environment, "PYTHONPATH": str(project.root / "src")}
        traced = subprocess.run(
            [sys.executable, "-X", "importtime", "flows/training.py"],
            cwd=project.root,
            env=extra,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    modules = {line.rpartition("|")[2].strip() for line in traced.splitlines()}
    if ran := project.stages():
        sys.exit(f"a stage ran although nothing changed: {ran}")
    return {
        "flow_first_s": first,
        "flow_nothing_changed_s": min(again),
        "flow_nothing_changed_imports": [name for name in HEAVY if name in modules],
    }


def plot(cold: float, epoch: float, article_epoch: float, path: Path) -> None:
    """How many times faster by epochs."""
    epochs = list(range(1, 101))

    def draw(chart: Figure) -> None:
        axes = chart.subplots()
        axes.plot(epochs, [article_epoch * n / (cold + (n - EPOCHS) * epoch) for n in epochs], color=BLUE)
        axes.set_xlabel("epochs")
        axes.set_ylabel("times faster than the article's loop")

    path.write_bytes(png_of(draw, 5.5, 3))


if __name__ == "__main__":
    main()
