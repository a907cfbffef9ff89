"""Small classification problems that a head can learn."""

from pathlib import Path

import torch

from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Features
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors


def features_file(folder: Path, rows: torch.Tensor) -> Features:
    """Write rows [N, *shape] to a features file."""
    path = folder / "features.safetensors"
    checkpoint.save(path, {"features": rows}, {})
    return Features(path)


def two_classes(folder: Path, channels: int, count: int = 600) -> tuple[Features, LabelledRows, LabelledRows]:
    """Two classes that differ in a few channels, far from standardised."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (count,), generator=random)
    rows = torch.randn(count, channels, generator=random) * 30 + 100
    rows[:, :3] += labels[:, None] * 90
    rows[:, 5] = 7
    half = count // 2
    train, val = LabelledRows(range(half), labels[:half]), LabelledRows(range(half, count), labels[half:])
    return features_file(folder, rows), train, val


def backbone_file(folder: Path, arch: str = "vgg16", width: int = 4) -> Path:
    """Write a backbone with random weights."""
    path = folder / "backbone.safetensors"
    checkpoint.save(path, dict(random_tensors(vgg_layers(arch, width), 0)), {})
    return path
