"""Narrow networks of several shapes with drawn weights, ready to answer."""

from typing import Any

import numpy as np
import torch

from headstart.pipeline.data.limits import Limits
from headstart.pipeline.network.abstention import Abstention
from headstart.pipeline.network.assembly import Head
from headstart.pipeline.network.modules import Chain, prefix_of
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.pixels.transforms import transform_of
from headstart.versions.serving.predictor import Predictor

CLASSES = ("a", "b", "c")
NETWORKS: dict[str, dict[str, Any]] = {
    "pooled": {"arch": "vgg16", "head": "pooled"},
    "batch norm, mlp": {"arch": "vgg16_bn", "head": "mlp", "hidden": (8,), "train": ("features.40",)},
    "replaced": {
        "arch": "vgg11",
        "head": "linear",
        "replace": {
            "avgpool": {"avgpool": 3},
            "classifier.0": ["batchnorm", {"linear": 16}],
            "classifier.3": "identity",
        },
    },
}


def filled(chain: Chain, seed: int) -> Chain:
    """The chain with drawn values; variances and scales are positive."""
    random = np.random.default_rng(seed)

    def draw(name: str, shape: torch.Size) -> torch.Tensor:
        if name.endswith(("running_var", "scale")):
            return torch.from_numpy(random.uniform(0.5, 2, shape)).float()
        return torch.from_numpy(random.normal(0, 0.3, shape)).float()

    chain.load({
        name: draw(name, tensor.shape) if tensor.is_floating_point() else torch.tensor(1)
        for name, tensor in chain.tensors().items()
    })  # fmt: skip
    return chain.eval().requires_grad_(False)


def predictor_of(arch: str, **network: Any) -> Predictor:
    spec = NetworkSpec(arch=arch, width=4, classes=CLASSES, **network)
    planned = plan(spec)
    head = filled(Head(planned.after), 1)
    assert isinstance(head, Head)
    head.temperature, head.abstention = 1.7, Abstention(0.5, 0.1)
    prefix = filled(prefix_of(planned), 0).to(memory_format=torch.channels_last)
    transform = transform_of(arch, "IMAGENET1K_V1")
    metadata = {"digest": "1" * 64, "backbone": {"digest": "2" * 64}}
    return Predictor(prefix, head, CLASSES, transform, Limits(("PNG",), ("RGB",), 1), "fp32", metadata)
