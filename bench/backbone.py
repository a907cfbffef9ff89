"""How near is the frozen part to what the machine's own matrix products allow?

Packed images through the stage's own loop (reading, normalising, forward, store, features file) with the
whole network but its last layer; against the image rate that a square product in the same precision
implies, and against torchvision's model called in the plain way. Rounds alternate, the best counts.

    PYTHONPATH=tests/support .venv/bin/python bench/backbone.py
"""

import argparse
import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import IMAGE_FLOP, best_of, finish, keep, matmul_rate, timed
from packed import packed_images
from torchvision.models import vgg16

from headstart.ground import runtime
from headstart.ground.settings import Precision
from headstart.pipeline.features.compute import Forward, write_features
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.modules import prefix_of
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors
from headstart.pipeline.pixels.packed import PackedImages
from headstart.pipeline.pixels.transforms import transform_of

NETWORK = plan(NetworkSpec("vgg16", 64, "linear", ("a", "b")))


class Memory:
    """A store that lasts as long as the process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], bytes] = {}

    def get(self, recipe: str, keys: list[str]) -> list[bytes | None]:
        return [self._rows.get((recipe, key)) for key in keys]

    def has(self, recipe: str, keys: list[str]) -> list[bool]:
        return [(recipe, key) in self._rows for key in keys]

    def put(self, recipe: str, rows: dict[str, bytes], drops: bool = True) -> None:
        self._rows |= {(recipe, key): row for key, row in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    weights = dict(random_tensors(vgg_layers("vgg16", 64), 0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        images = pack(Path(folder), chosen.images)
        for precision in chosen.precisions:
            runtime.dtype_of(precision)
            rows.append(measure(precision, images, weights, chosen.batch_size, chosen.rounds, Path(folder)))
    keep("backbone", {"images": chosen.images, "batch_size": chosen.batch_size, "rows": rows}, chosen.out)


def pack(folder: Path, count: int) -> PackedImages:
    """Noise, in a store in `folder`."""
    os.environ["HEADSTART_CACHE"] = str(folder / "store")
    random = np.random.default_rng(0)
    return packed_images(random.integers(0, 256, (224, 224, 3), np.uint8) for _ in range(count))


def measure(
    precision: Precision,
    images: PackedImages,
    weights: dict[str, torch.Tensor],
    batch_size: int,
    rounds: int,
    folder: Path,
) -> dict[str, object]:
    prefix = prefix_of(NETWORK)
    prefix.load({name: tensor.clone() for name, tensor in weights.items()})
    runtime.make_deterministic(0)
    replicas = Forward(prefix, transform_of("vgg16", "IMAGENET1K_V1"), precision, batch_size).prepared()
    plain = plain_model(weights, precision)
    batch = torch.randn(batch_size, 3, 224, 224).to(runtime.device(), runtime.DTYPES[precision])
    batch = batch.contiguous(memory_format=torch.channels_last)
    keys = [hashlib.sha256(bytes([i % 256, i // 256])).hexdigest() for i in range(len(images))]

    def stage() -> None:
        shape = (len(images), *NETWORK.feature_shape)
        with (folder / "features").open("wb") as file:
            writer = checkpoint.RowWriter(file, "features", shape, runtime.DTYPES[precision], {})
            write_features(replicas, images, keys, Memory(), "00" * 32, writer)

    def bare() -> None:
        with torch.inference_mode():
            plain(batch)

    stage()
    rates: dict[str, list[float]] = {"matmul": [], "stage": [], "torchvision": []}
    for _ in range(rounds):
        rates["matmul"].append(matmul_rate(precision) * len(replicas) / IMAGE_FLOP)
        rates["stage"].append(len(images) / timed(stage))
        rates["torchvision"].append(batch_size * len(replicas) / best_of(lambda: (bare(), finish()), 4))
    best = {name: max(values) for name, values in rates.items()}
    row = {
        "precision": precision,
        "matmul_gflops": best["matmul"] * IMAGE_FLOP / 1e9,
        "matmul_images_per_s": best["matmul"],
        "torchvision_images_per_s": best["torchvision"],
        "stage_images_per_s": best["stage"],
        "stage_to_matmul": best["stage"] / best["matmul"],
        "stage_to_torchvision": best["stage"] / best["torchvision"],
    }
    print(row, flush=True)
    return row


def plain_model(weights: dict[str, torch.Tensor], precision: Precision) -> torch.nn.Module:
    """torchvision's model, channels last, in the precision: one call a batch."""
    with torch.device("meta"):
        model = vgg16(weights=None)
    model.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    moved: torch.nn.Module = model.eval().to(runtime.device(), runtime.DTYPES[precision])
    return moved.to(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
