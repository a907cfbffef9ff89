"""The frozen part and head training on an accelerator, from source: no store, tracker or orchestrator.

Packed pixels to features by the stage's own loop, against what the card's matrix products imply; from JPEG
with decoding on the card, here only, since its pixels differ from Pillow's; training `classifier.6` on
100,000 x 4096 features for 10 epochs. It needs torch, torchvision, numpy, pandas and safetensors, and runs
on a processor too, with fewer images.

    PYTHONPATH=src:tests/support python bench/gpu.py --out bench/results/gpu.json
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import backbone
import numpy as np
import torch
from machine import ROOT, finish, keep, timed
from PIL import Image
from torchvision.io import decode_jpeg

from headstart.ground import runtime
from headstart.params import load_params
from headstart.pipeline.features.compute import Forward
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Features, resident
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.modules import prefix_of
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors
from headstart.pipeline.pixels.transforms import normalise, transform_of
from headstart.pipeline.training.one_head import train_head
from headstart.pipeline.training.training_data import TrainingData


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--train-batch-size", type=int, default=1024)
    parser.add_argument("--jpegs", type=int, default=4096)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    weights = dict(random_tensors(vgg_layers("vgg16", 64), 0))
    result: dict[str, object] = {name: value for name, value in vars(chosen).items() if name != "out"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = backbone.pack(folder, chosen.images)
        result["frozen"] = [
            backbone.measure(precision, images, weights, chosen.batch_size, 3, folder)
            for precision in ("bf16", "fp32")
        ]
        if torch.cuda.is_available():
            result["from_jpeg"] = from_jpeg(weights, chosen.jpegs, chosen.batch_size)
        result["train"] = train(folder, chosen.rows, chosen.train_batch_size)
    keep("gpu", result, chosen.out)


def from_jpeg(weights: dict[str, torch.Tensor], count: int, batch_size: int) -> dict[str, float]:
    """JPEG bytes of 500 x 375 pixels, decoded and resized on the card, through the frozen part in bf16."""
    transform = transform_of("vgg16", "IMAGENET1K_V1")
    prefix = prefix_of(backbone.NETWORK)
    prefix.load(weights)
    [replica, *_] = Forward(prefix, transform, "bf16", batch_size).prepared()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((500, 375)).save(file, "JPEG", quality=90)
    jpeg = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)

    def decode(files: int) -> torch.Tensor:
        decoded = torch.stack(decode_jpeg([jpeg] * files, device=runtime.device()))
        resized = torch.nn.functional.interpolate(
            decoded.float(), (256, 341), mode="bilinear", antialias=True
        )
        cropped = resized[:, :, 16:240, 58:282].round().clamp(0, 255).to(torch.uint8)
        return cropped.permute(0, 2, 3, 1)

    def run() -> None:
        for _ in range(count // batch_size):
            batch = normalise(decode(batch_size), transform).to(torch.bfloat16)
            with torch.inference_mode():
                replica.prefix(batch)
        finish()

    def only_decode() -> None:
        for _ in range(count // batch_size):
            decode(batch_size)
        finish()

    run()
    images = count // batch_size * batch_size
    return {"images_per_s": images / timed(run), "decode_images_per_s": images / timed(only_decode)}


def train(folder: Path, rows: int, batch_size: int) -> dict[str, float]:
    """Seconds of 10 epochs over bf16 features, reading them and validation included."""
    held = rows // 10
    random = torch.Generator().manual_seed(0)
    path = folder / "features.safetensors"
    with path.open("wb") as file:
        writer = checkpoint.RowWriter(file, "features", (rows + held, 4096), torch.bfloat16, {})
        for start in range(0, rows + held, 1000):
            size = min(1000, rows + held - start)
            part = torch.rand(size, 4096, generator=random).to(torch.bfloat16)
            writer.write(bytes(part.flatten().view(torch.uint8).numpy()))
    labels = torch.arange(rows + held) % 2
    first, second = range(rows), range(rows, rows + held)
    train_rows, val_rows = LabelledRows(first, labels[:rows]), LabelledRows(second, labels[rows:])
    settings = load_params(ROOT / "params.yaml").train.changed(
        lr=1e-3, epochs=10, batch_size=batch_size, patience=99
    )

    def run() -> float:
        start = time.perf_counter()
        features = resident(Features(path))
        head = starting_head(backbone.NETWORK, folder / "none", 0)
        train_head(TrainingData(backbone.NETWORK, features, train_rows, val_rows), head, settings)
        finish()
        return time.perf_counter() - start

    return {"first_s": run(), "again_s": run()}


if __name__ == "__main__":
    main()
