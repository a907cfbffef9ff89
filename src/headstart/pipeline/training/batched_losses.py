"""The loss of many heads over the same batch."""

import torch
from torch import nn


def losses_of(
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothing: torch.Tensor | None,
    class_weights: torch.Tensor | None,
) -> torch.Tensor:
    """`nn.functional.cross_entropy` of every trial, each with its own smoothing: [trials].

    Args:
        logits: [trials, batch, classes].
        labels: int64 [batch].
    """
    if smoothing is None and class_weights is None:
        every = labels.expand(len(logits), -1).flatten()
        hard = nn.functional.cross_entropy(logits.flatten(0, 1), every, reduction="none")
        return hard.view(len(logits), -1).mean(1)
    scores = -torch.log_softmax(logits, -1)
    if class_weights is not None:
        scores = scores * class_weights
        total = class_weights[labels].sum()
    else:
        total = torch.tensor(float(len(labels)), device=logits.device)
    hard = scores.gather(2, labels.expand(len(logits), -1).unsqueeze(2)).sum((1, 2)) / total
    if smoothing is None:
        return hard
    soft = scores.sum((1, 2)) / (total * logits.shape[2])
    return (1 - smoothing) * hard + smoothing * soft
