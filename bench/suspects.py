"""How many planted mistakes stand among the first suspects, and what does mending them change?

One image in twenty gets another label, and twenty images get a near duplicate: encoded again, shifted,
mirrored or halved, under another name. The stages run on what results; then the planted mistakes are undone,
and they run again.

.venv/bin/python bench/suspects.py --data FOLDER --weights VGG16.pth
"""

import argparse
import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from machine import keep
from PIL import Image, ImageOps
from projects import dvc, edit_params, make_repository, make_tree

from headstart.pipeline.evaluation.figures import read_headline

WRONG, COPIES = 0.05, 20
FIRST = (10, 20, 40, 80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder per class")
    parser.add_argument("--weights", type=Path, required=True, help="a VGG16 checkpoint of torchvision")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        make_tree(root)
        shutil.copytree(chosen.data, root / "data")
        planted = plant(root / "data", chosen.seed)
        digest = hashlib.sha256(chosen.weights.read_bytes()).hexdigest()
        edit_params(root, **{
            "backbone.width": 64, "backbone.weights": str(chosen.weights.resolve()),
            "backbone.sha256": digest,
            "train.epochs": 100, "train.lr": 0.003, "evaluate.resamples": 2000, "split.group": "similar",
        })  # fmt: skip
        make_repository(root)
        dvc(root, "repro")
        before = read_headline(root / "reports")
        findings = pd.read_parquet(root / "artifacts/findings.parquet")
        mend(root / "data", planted)
        dvc(root, "repro")
        after = read_headline(root / "reports")
    wrong, copies = set(planted["wrong"]), set(planted["copies"])
    labels = findings[findings["check"] == "label"]["path"].tolist()
    alike = set(findings[findings["check"] == "near_duplicate"]["path"])
    keep(
        "suspects",
        {
            "images": planted["images"],
            "wrong_labels": len(wrong),
            "label_suspects": len(labels),
            "wrong_among_first": {str(n): len(wrong & set(labels[:n])) for n in FIRST},
            "copies": len(copies),
            "copies_found": len(copies & alike),
            "accuracy_before": before["accuracy"],
            "accuracy_after": after["accuracy"],
            "interval_before": before["intervals"]["accuracy"],
            "interval_after": after["intervals"]["accuracy"],
        },
        chosen.out,
    )


def plant(data: Path, seed: int) -> dict[str, object]:
    """Move images to a wrong class and add near duplicates; the new paths below `data`."""
    random = np.random.default_rng(seed)
    files = sorted(path for path in data.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    classes = sorted({path.parent.name for path in files})
    chosen = random.permutation(len(files))
    wrong, copies = {}, []
    for place in chosen[: round(WRONG * len(files))]:
        path = files[place]
        other = [name for name in classes if name != path.parent.name]
        moved = data / str(random.choice(other)) / path.name
        path.rename(moved)
        wrong[moved.relative_to(data).as_posix()] = path.relative_to(data).as_posix()
    for number, place in enumerate(chosen[-COPIES:]):
        path = files[place]
        copy = path.with_name(f"{hashlib.sha256(path.name.encode()).hexdigest()[:12]}.jpg")
        altered(Image.open(path).convert("RGB"), number % 4).save(copy, quality=60)
        copies.append(copy.relative_to(data).as_posix())
    return {"images": len(files), "wrong": wrong, "copies": copies}


def altered(image: Image.Image, how: int) -> Image.Image:
    if how == 1:
        return ImageOps.mirror(image)
    if how == 2:
        return image.resize((image.width // 2, image.height // 2))
    if how == 3:
        right, down = image.width // 40, image.height // 40
        return image.crop((right, down, image.width, image.height))
    return image


def mend(data: Path, planted: dict[str, object]) -> None:
    wrong, copies = planted["wrong"], planted["copies"]
    assert isinstance(wrong, dict)
    assert isinstance(copies, list)
    for found, right in wrong.items():
        (data / found).rename(data / right)
    for path in copies:
        (data / path).unlink()


if __name__ == "__main__":
    main()
