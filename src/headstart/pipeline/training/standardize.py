"""Fit the mean and scale of `Standardize` layers to the training rows."""

import torch

from headstart.pipeline.features.feature_file import Rows, batches
from headstart.pipeline.network.modules import Chain, Standardize


@torch.inference_mode()
def fit_standardize(head: Chain, features: Rows, rows: range, size: int) -> None:
    """Set the mean and scale of a `Standardize` layer from the training features (float64 sums).

    A channel that never varies is only centred.
    """
    for position, (_, module) in enumerate(head.named()):
        if isinstance(module, Standardize):
            before = head.part(0, position).eval()
            mean, variance = _moments(before, features, rows, size)
            scale = torch.where(variance > 0, variance.rsqrt(), torch.ones_like(variance))
            module.mean.copy_(mean)
            module.scale.copy_(scale)


def _moments(before: Chain, features: Rows, rows: range, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    total = squares = torch.zeros((), dtype=torch.float64)
    for _, batch in batches(features, rows, size):
        values = before(batch).double()
        total = total + values.sum(0).cpu()
    mean = total / len(rows)
    for _, batch in batches(features, rows, size):
        squares = squares + (before(batch).double().cpu() - mean).square().sum(0)
    return mean, squares / len(rows)
