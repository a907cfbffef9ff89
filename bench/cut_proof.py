"""Does the cut change anything? Trains after the cut, and the whole network beside it, and compares.

The whole network is torchvision's own model in a plain loop: its forward pass from the pixels in every step,
the same layers frozen in eval mode, torch's own optimizer, the same seed and batches. Writes docs/cut.md.

    PYTHONPATH=tests/support .venv/bin/python bench/cut_proof.py             # minutes on 2 cores
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from machine import ROOT
from packed import packed_images
from torch import nn
from torchvision.models import get_model, get_model_weights

from headstart.ground import runtime
from headstart.params import load_params
from headstart.pipeline.features.compute import Forward
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Features, Rows
from headstart.pipeline.features.frozen import frozen_prefix
from headstart.pipeline.features.image_rows import ImageRows
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network, NetworkSpec, plan
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import initial_tensors, random_tensors
from headstart.pipeline.pixels.packed import PackedImages
from headstart.pipeline.pixels.transforms import normalise
from headstart.pipeline.training.batches import shuffled
from headstart.pipeline.training.one_head import train_head
from headstart.pipeline.training.settings import Train
from headstart.pipeline.training.training_data import TrainingData

CLASSES = ("first", "second")
IMAGES, BATCH = 48, 8


@dataclass(frozen=True)
class Case:
    """Layers trained besides `classifier.6`, which is always new."""

    title: str
    arch: str
    train: tuple[str, ...]


CASES = (
    Case("`classifier.6`", "vgg16", ()),
    Case("the whole classifier", "vgg16", ("classifier",)),
    Case("the last convolution block", "vgg16", ("features.24", "features.26", "features.28")),
    Case("`classifier.6`", "vgg16_bn", ()),
    Case("the last convolution block", "vgg16_bn", ("features.34", "features.37", "features.40")),
    Case("everything", "vgg16", ("features", "classifier")),
    Case("everything", "vgg16_bn", ("features", "classifier")),
)


@dataclass(frozen=True)
class Result:
    """Largest differences between both ways; 0 means equal bits."""

    cut: str
    loss: float
    head: float
    steps: int


class Numbers:
    """Rows that are their own numbers: the batches in which `shuffled` draws them."""

    row_shape = (1,)
    views = 1

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return torch.arange(start, stop)[:, None].float()

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        return self.rows(start, start + len(views))


def compare(case: Case, width: int, folder: Path) -> Result:
    """Train both ways at this width of the network and compare losses and tensors."""
    spec = NetworkSpec(case.arch, width, "linear", CLASSES, train=case.train)
    network = plan(spec)
    weights = dict(random_tensors(vgg_layers(case.arch, width), 0))
    described = {"digest": checkpoint.digest(weights), "source": "random"}
    checkpoint.save(folder / "backbone", weights, described)
    images, labels = _images(folder)
    split, val = LabelledRows(range(IMAGES), labels), LabelledRows(range(BATCH), labels[:BATCH])
    rows = _rows(network, case, images, folder)
    settings = load_params(ROOT / "params.yaml").train.changed(
        lr=1e-3, epochs=2, batch_size=BATCH, patience=9
    )
    head = starting_head(network, folder / "backbone", settings.seed)
    _, history = train_head(TrainingData(network, rows, split, val), head, settings)
    last = head.tensors()
    whole, losses = train_whole(case, network, weights, images, split, settings)
    gaps = [float((last[name].double() - whole[name].double()).abs().max()) for name in network.head_names()]
    loss_gaps = [abs(a.train_loss - b) for a, b in zip(history, losses, strict=True)]
    return Result(network.cut_name, max(loss_gaps), max(gaps), settings.epochs * IMAGES // BATCH)


def train_whole(
    case: Case,
    network: Network,
    weights: dict[str, torch.Tensor],
    images: PackedImages,
    split: LabelledRows,
    settings: Train,
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The whole network in a plain loop; returns its tensors and the mean loss of each epoch."""
    model = whole_network(case.arch, network, weights, settings.seed)
    runtime.make_deterministic(settings.seed)
    model.eval().requires_grad_(False)
    for layer in network.layers:
        module = dict(model.named_modules()).get(layer.name)
        if module is not None:
            module.requires_grad_(layer.is_trained)
            module.train(layer.is_trained or (layer in network.after and not layer.has_state))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * IMAGES // BATCH
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    transform = get_model_weights(case.arch).IMAGENET1K_V1.transforms()
    order = runtime.generator(settings.seed)
    losses = []
    for _ in range(settings.epochs):
        total = 0.0
        for numbers, labels in shuffled(Numbers(), split, BATCH, order):
            pixels = np.concatenate([images.rows(int(n), int(n) + 1) for n in numbers[:, 0]])
            loss = nn.functional.cross_entropy(model(normalise(torch.from_numpy(pixels), transform)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(labels)
        losses.append(total / IMAGES)
    return model.state_dict(), losses


def whole_network(arch: str, network: Network, weights: dict[str, torch.Tensor], seed: int) -> nn.Module:
    """torchvision's model with the article's new last layer; narrower ones have its layers rebuilt."""
    model = get_model(arch, weights=None)
    for layer in network.layers:
        if layer.kind.tensors():
            group, number = layer.name.split(".")
            dict(model.named_children())[group][int(number)] = Chain([layer]).body[0]
    new = initial_tensors([layer for layer in network.layers if layer.is_new], seed)
    model.load_state_dict({**weights, **new}, assign=True)
    return model.to(memory_format=torch.channels_last)


def _rows(network: Network, case: Case, images: PackedImages, folder: Path) -> Rows:
    transform = get_model_weights(case.arch).IMAGENET1K_V1.transforms()
    if not network.cut:
        return ImageRows(images, transform, [""] * len(images), 1, 0)
    prefix = frozen_prefix(network, folder / "backbone")
    replica = Forward(prefix, transform, "fp32", BATCH).prepared()[0]
    starts = range(0, IMAGES, BATCH)
    parts = [replica.start(torch.from_numpy(images.rows(s, s + BATCH)))().clone() for s in starts]
    checkpoint.save(folder / "features", {"features": torch.cat(parts)}, {})
    return Features(folder / "features")


def _images(folder: Path) -> tuple[PackedImages, torch.Tensor]:
    """Noise whose second class is brighter."""
    random = np.random.default_rng(0)
    labels = torch.arange(IMAGES) % 2
    os.environ["HEADSTART_CACHE"] = str(folder / "store")
    noise = (random.integers(0, 200, (224, 224, 3)) + 50 * int(label) for label in labels)
    return packed_images(each.astype(np.uint8) for each in noise), labels


def table(results: list[tuple[Case, Result]], width: int) -> Iterator[str]:
    """The page docs/cut.md."""
    yield "# The cut changes nothing"
    yield ""
    yield (
        "Training after the cut, on stored features, against training the whole network from the pixels "
        "with the same layers frozen in eval mode: torchvision's own model in a plain loop, the same seed, "
        f"batches and optimizer (AdamW, cosine). {IMAGES} images, {results[0][1].steps} steps of {BATCH}, "
        f"fp32, width {width}. 0 means that every bit is equal."
    )
    yield ""
    yield "| trained | network | cut after | largest difference of an epoch's loss | of a trained tensor |"
    yield "|---|---|---|---|---|"
    for case, result in results:
        yield f"| {case.title} | {case.arch} | {result.cut} | {_told(result.loss)} | {_told(result.head)} |"
    yield ""
    yield (
        "Made by `PYTHONPATH=tests/support .venv/bin/python bench/cut_proof.py` on "
        f"{runtime.device_name()} with torch "
        f"{torch.__version__}, torchvision {torchvision.__version__}; "
        "`tests/pipeline/features/test_cut.py` holds it."
    )


def _told(gap: float) -> str:
    return "0" if gap == 0 else f"{gap:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, help="64 is torchvision's network")
    parser.add_argument("--out", type=Path, default=Path("docs/cut.md"))
    chosen = parser.parse_args()
    results = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            result = compare(case, chosen.width, Path(folder))
        gaps = f"loss {result.loss:.1e}, tensors {result.head:.1e}"
        print(f"{case.arch} {case.title}: cut after {result.cut}; {gaps}", flush=True)
        results.append((case, result))
    chosen.out.write_text("\n".join(table(results, chosen.width)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
