"""How far off is the accuracy that is estimated from confidences, if its assumption holds and if it fails?

The convolutions of a VGG16 checkpoint see every photograph once as it is, and once with each change. Each
draw deals the photographs out anew: half of them train a linear head on the averaged features, a quarter is
its test split, which calibrates the estimate, and the rest is production, which is shifted in a known way.
The accuracy there is known, so each draw shows whether the interval covers it.

PYTHONPATH=tests/support .venv/bin/python bench/cbpe.py --data FOLDER --weights VGG16.pth
"""

import argparse
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from drifted import darkness
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from projects import dvc, edit_params, make_repository, make_tree

CHANNELS = 512


def noisy(picture: Image.Image, number: int) -> Image.Image:
    """A dark room: Gaussian noise of 50 levels."""
    noise = np.random.default_rng(number).normal(0, 50, (*picture.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def blurred(picture: Image.Image, number: int) -> Image.Image:
    """Far out of focus, whatever the size: a Gaussian of 2.5% of the shorter side."""
    return picture.filter(ImageFilter.GaussianBlur(0.025 * min(picture.size)))


CHANGES: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "blur": blurred,
    "noise": noisy,
    "three quarters of the light": darkness,
}


def observe(data: Path, weights: Path, precision: str, folder: Path) -> dict[str, NDArray[np.float32]]:
    """The averaged features of all photographs [N, 512] as they are and with each change, and `labels` [N]."""
    root = folder / "project"
    make_tree(root)
    shutil.copytree(data, root / "data")
    edit_params(root, **{
        "backbone.width": 64, "backbone.weights": str(weights.resolve()),
        "backbone.sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "features.precision": precision, "train.epochs": 1, "split.group": "similar",
    })  # fmt: skip
    make_repository(root)
    dvc(root, "repro", "train")  # any head: only the frozen layers below it are used
    from headstart.pipeline.data.manifest import read_manifest
    from headstart.pipeline.store.store import Store
    from headstart.progress import bar
    from headstart.versions.monitoring.observing import Observer

    manifest = read_manifest(root / "artifacts/manifest.parquet").drop_duplicates("pixels")
    names = sorted(manifest["path"])
    observer = Observer(root / "artifacts/head.safetensors", root / "artifacts/backbone.safetensors")
    found: dict[str, NDArray[np.float32]] = {
        "labels": np.array([name.partition("/")[0] for name in names])  # type: ignore[dict-item]
    }
    with Store(folder / "store") as store:
        for change in ("none", *CHANGES):
            files = [(name, changed(root / "data" / name, change, folder, n)) for n, name in enumerate(names)]
            with bar(len(files), change) as progress:
                seen = observer.observe(files, store, progress.update)
            assert not seen.failures
            found[change] = seen.features.reshape(len(seen), CHANNELS, -1).mean(2)
    return found


def changed(path: Path, change: str, folder: Path, number: int) -> Path:
    if change == "none":
        return path
    place = folder / change / f"{number:06d}.png"
    place.parent.mkdir(exist_ok=True)
    with Image.open(path) as picture:
        CHANGES[change](picture.convert("RGB"), number).save(place, compress_level=1)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder per class")
    parser.add_argument("--weights", type=Path, help="a VGG16 checkpoint of torchvision")
    parser.add_argument("--features", type=Path, help="an .npz file that keeps the features for the next run")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    if chosen.features and chosen.features.exists():
        features = dict(np.load(chosen.features))
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HEADSTART_CACHE"] = f"{folder}/store"
            features = observe(chosen.data, chosen.weights, chosen.precision, Path(folder))
        if chosen.features:
            np.savez(chosen.features, **features)


if __name__ == "__main__":
    main()
