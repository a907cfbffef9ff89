"""Small classification problems that a head can learn."""

from collections.abc import Mapping
from pathlib import Path

import torch
from sections import section

from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Features
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.backbone import backbone_metadata, load_backbone
from headstart.pipeline.network.network import NetworkSpec, plan


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
    own = section("backbone", arch=arch, width=width)
    loaded = load_backbone(own)
    checkpoint.save(path, loaded.tensors, backbone_metadata(own, loaded))
    return path


def head_file(path: Path, tensors: Mapping[str, torch.Tensor], spec: NetworkSpec, backbone: Path) -> Path:
    """Write a head that was trained on the network of `spec` with this backbone."""
    described = {
        **spec.to_dict(),
        "cut": plan(spec).cut_name,
        "precision": "fp32",
        "batch_size": 4,
        "transform": "IMAGENET1K_V1",
        "backbone": checkpoint.metadata(backbone),
        "epoch": 1,
        "digest": checkpoint.digest(tensors),
        "init": None,
    }
    checkpoint.save(path, tensors, described)
    return path
