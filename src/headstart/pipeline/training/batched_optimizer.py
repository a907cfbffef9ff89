"""AdamW and SGD for many heads at once, each with its own learning rate, momentum and weight decay."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from headstart.pipeline.training.settings import Train

BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch.optim.AdamW's
TINY = 1e-20  # avoids dividing by 0 if the learning rate is 0
COLUMNS = ("lr", "momentum", "weight_decay")


class BatchedOptimizer:
    """The update of torch.optim's AdamW, or of its SGD with Nesterov momentum.

    Args:
        weights: tensors [heads, ...] by name, updated in place.
        settings: one per head; the optimizer and `clip_norm` are the same for all.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], settings: Sequence[Train]) -> None:
        self._weights = weights
        self._is_adamw = settings[0].optimizer == "adamw"
        self._clip_norm = settings[0].clip_norm
        device = next(iter(weights.values())).device
        self._columns = {
            name: torch.tensor([getattr(own, name) for own in settings], device=device) for name in COLUMNS
        }
        self._decays = any(own.weight_decay for own in settings)
        self._steps = 0
        self._mean = {name: torch.zeros_like(t, requires_grad=False) for name, t in weights.items()}
        self._square = {name: torch.zeros_like(t) for name, t in self._mean.items()} if self._is_adamw else {}

    @torch.no_grad()
    def step(self, gradients: Mapping[str, torch.Tensor], factor: float = 1.0) -> None:
        """Update the weights.

        Args:
            gradients: tensors by the names of the weights.
            factor: multiplies every head's learning rate.
        """
        self._steps += 1
        lr = self._columns["lr"] * factor
        update = self._adamw if self._is_adamw else self._sgd
        for name, gradient in self._clipped(gradients).items():
            update(name, gradient, beside(lr, gradient))

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """The moments, grouped for `resuming.pack`."""
        return {"mean": self._mean, "square": self._square}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for `restore`."""
        return {"steps": self._steps}

    def restore(self, groups: Mapping[str, Mapping[str, torch.Tensor]], values: Mapping[str, Any]) -> None:
        """Restore the state that `tensors` and `to_dict` returned."""
        for group, own in self.tensors().items():
            for name, tensor in own.items():
                tensor.copy_(groups[group][name])
        self._steps = values["steps"]

    def _clipped(self, gradients: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        if self._clip_norm is None:
            return gradients
        squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()])
        scale = (self._clip_norm / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1)
        return {name: g * beside(scale, g) for name, g in gradients.items()}

    def _adamw(self, name: str, gradient: torch.Tensor, rate: torch.Tensor) -> None:
        weight, mean, square = self._weights[name], self._mean[name], self._square[name]
        if self._decays:
            weight.mul_(1 - rate * beside(self._columns["weight_decay"], weight))
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        # weight -= step * mean / (sqrt(square) / correction + epsilon), in few passes
        correction = math.sqrt(1 - BETAS[1] ** self._steps)
        step = (rate / (1 - BETAS[0] ** self._steps)).clamp(min=TINY)
        divisor = square.sqrt().mul_(1 / (correction * step)).add_(EPSILON / step)
        weight.addcdiv_(mean, divisor, value=-1)

    def _sgd(self, name: str, gradient: torch.Tensor, rate: torch.Tensor) -> None:
        weight, mean = self._weights[name], self._mean[name]
        gradient = gradient + weight * beside(self._columns["weight_decay"], weight)
        share = beside(self._columns["momentum"], weight)
        if self._steps > 1:
            mean.mul_(share).add_(gradient)
        else:
            mean.copy_(gradient)
        weight.sub_((gradient + mean * share).mul_(rate))


def beside(column: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """One number per head, shaped to be broadcast over a tensor [heads, ...]."""
    return column.view(-1, *[1] * (tensor.dim() - 1))
