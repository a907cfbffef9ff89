"""Train many settings of one head side by side, as one batched computation over the same features.

All trials see the same batches in the same order, so that the features are read once for all of them.
While trials share the input of a linear layer, their weights form one matrix and need one product;
`torch.func.vmap` would run a batch of small products instead, ten times slower.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from headstart.ground import runtime
from headstart.pipeline.features.feature_file import batches
from headstart.pipeline.network import kinds
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network, PlannedLayer
from headstart.pipeline.training import resuming
from headstart.pipeline.training.batched_losses import losses_of
from headstart.pipeline.training.batched_optimizer import BatchedOptimizer, beside
from headstart.pipeline.training.history import Score
from headstart.pipeline.training.loop import Batches, State
from headstart.pipeline.training.optimizers import RateSchedule
from headstart.pipeline.training.settings import Train, Trial
from headstart.pipeline.training.standardize import fit_standardize
from headstart.pipeline.training.training_data import TrainingData

BATCHED = (
    kinds.Linear,
    kinds.ReLU,
    kinds.Identity,
    kinds.Dropout,
    kinds.Standardize,
    kinds.Flatten,
    kinds.MaxPool2d,
    kinds.AdaptiveAvgPool2d,
)


def can_batch(network: Network) -> bool:
    """Whether the layers after the cut are of kinds that can train side by side."""
    return all(
        isinstance(layer.kind, BATCHED) and (layer.is_trained <= isinstance(layer.kind, kinds.Linear))
        for layer in network.after
    )


class Batched:
    """A `Learner` of many heads; every trained tensor has a first dimension of trials.

    Args:
        head: the layers after the cut, with the starting weights of every trial.
        settings: those that the trials share.
        trials: sorted so that those with the same dropout are adjacent.
    """

    def __init__(
        self, data: TrainingData, head: Chain, settings: Train, trials: Sequence[Trial], fit: bool
    ) -> None:
        runtime.make_deterministic(settings.seed)
        self._device = runtime.device()
        self._data, self._settings = data, settings
        self._own = [settings.of_trial(trial) for trial in trials]
        self._rates, self._group_sizes = _dropouts(trials)
        self._head = head.to(self._device)
        if fit:
            fit_standardize(head, data.rows, data.train.indices, data.network.eval_batch)
        self._head.eval().requires_grad_(False)
        self._layers = [(layer, module) for layer, module in head.named() if isinstance(layer, PlannedLayer)]
        self._weights = self._repeated(len(trials))
        self._best = {name: tensor.detach().clone() for name, tensor in self._weights.items()}
        self._optimizer = BatchedOptimizer(self._weights, self._own)
        per_epoch = math.ceil(len(data.train.indices) / settings.batch_size)
        self._schedule = RateSchedule(settings, per_epoch)
        smoothing = [own.label_smoothing for own in self._own]
        self._smoothing = torch.tensor(smoothing, device=self._device) if any(smoothing) else None
        weights = data.class_weights
        self._class_weights = None if weights is None else weights.to(self._device)

    @property
    def heads(self) -> int:
        return len(self._own)

    def rates(self) -> list[float]:
        return [own.lr * self._schedule.factor for own in self._own]

    def train_epoch(self, drawn: Batches) -> list[Score]:
        loss_sum = torch.zeros(self.heads, dtype=torch.float64, device=self._device)
        hits = torch.zeros(self.heads, dtype=torch.int64, device=self._device)
        names = list(self._weights)
        for data, labels in drawn:
            with runtime.autocast(self._settings.precision):
                logits = self._forward(data, training=True)
            losses = losses_of(logits.float(), labels, self._smoothing, self._class_weights)
            gradients = torch.autograd.grad(losses.sum(), [self._weights[name] for name in names])
            self._optimizer.step(dict(zip(names, gradients, strict=True)), self._schedule.factor)
            self._schedule.step()
            loss_sum.add_(losses.detach(), alpha=len(labels))
            hits += (logits.argmax(-1) == labels).sum(1)
        seen = len(self._data.train.indices)
        return _scores(loss_sum.cpu() / seen, hits.cpu() / seen)

    @torch.inference_mode()
    def evaluate(self) -> list[Score]:
        loss_sum = torch.zeros(self.heads, dtype=torch.float64)
        hits = torch.zeros(self.heads, dtype=torch.float64)
        val = self._data.val
        size = max(1, self._data.network.eval_batch // max(1, self.heads // 8))
        for part, batch in batches(self._data.rows, val.indices, size):
            labels = val.labels_of(part).to(self._device)
            logits = self._forward(batch, training=False)
            losses = losses_of(logits, labels, None, None)
            loss_sum += losses.double().cpu() * len(labels)
            hits += (logits.argmax(-1) == labels).sum(1).double().cpu()
        return _scores(loss_sum / len(val.indices), hits / len(val.indices))

    def keep(self, improved: Iterable[int]) -> None:
        for index in improved:
            for name, tensor in self._weights.items():
                self._best[name][index] = tensor.detach()[index]

    def best(self, head: int) -> dict[str, torch.Tensor]:
        own = {name: tensor[head].cpu() for name, tensor in self._best.items()}
        names = self._data.network.head_names()
        fixed = {name: t.detach().cpu() for name, t in self._head.tensors().items() if name in names}
        return {**fixed, **own}

    def state(self) -> State:
        tensors = resuming.pack(weights=self._weights, best=self._best, **self._optimizer.tensors())
        return tensors, {"optimizer": self._optimizer.to_dict(), "schedule": self._schedule.to_dict()}

    def restore(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        with torch.no_grad():
            for group, own in (("weights", self._weights), ("best", self._best)):
                for name, tensor in resuming.unpack(tensors, group).items():
                    own[name].copy_(tensor)
        moments = {group: resuming.unpack(tensors, group) for group in self._optimizer.tensors()}
        self._optimizer.restore(moments, values["optimizer"])
        self._schedule.restore(values["schedule"])

    def _repeated(self, count: int) -> dict[str, torch.Tensor]:
        """The starting weights of the trained layers, repeated `count` times, as leaves of the graph."""
        learning = {
            f"{layer.name}.{name}"
            for layer, _ in self._layers
            if layer.is_trained
            for name in layer.kind.tensors()
        }
        return {
            name: tensor.detach().unsqueeze(0).repeat(count, *[1] * tensor.dim()).requires_grad_()
            for name, tensor in self._head.tensors().items()
            if name in learning
        }

    def _forward(self, x: torch.Tensor, training: bool) -> torch.Tensor:
        """Logits [trials, batch, classes] of inputs that all trials share.

        Up to the first trained layer, trials with the same dropout share one input, and their weights form
        one matrix; after it every trial has its own input.
        """
        shared: list[torch.Tensor] = [x]
        own: torch.Tensor | None = None
        for layer, module in self._layers:
            if isinstance(layer.kind, kinds.Dropout):
                if not training:
                    continue
                if own is None:
                    shared = self._drop_shared(shared, layer.kind.p)
                else:
                    own = self._drop_own(own, layer.kind.p)
            elif layer.is_trained:
                weight, bias = self._weights[f"{layer.name}.weight"], self._weights[f"{layer.name}.bias"]
                if own is None:
                    own = _linear_of_groups(shared, weight, bias, self._group_sizes)
                else:
                    own = torch.baddbmm(bias.unsqueeze(1), own, weight.transpose(1, 2))
            else:  # poolings come before the first linear layer; the others work on the last dimension
                function = nn.functional.relu if isinstance(layer.kind, kinds.ReLU) else module
                if own is None:
                    shared = [function(part) for part in shared]
                else:
                    own = function(own)
        assert own is not None
        return own

    def _drop_shared(self, shared: list[torch.Tensor], planned: float) -> list[torch.Tensor]:
        """Apply one mask to all trials of the same rate; the draws are the same for all rates."""
        if self._rates is None:
            return [nn.functional.dropout(part, planned) for part in shared]
        if len(self._rates) == 1:
            return [nn.functional.dropout(shared[0], self._rates[0])]
        parts = shared if len(shared) > 1 else shared * len(self._rates)
        draws = torch.rand(parts[0].shape, device=parts[0].device)
        return [part * ((draws >= rate) / (1 - rate)) for part, rate in zip(parts, self._rates, strict=True)]

    def _drop_own(self, own: torch.Tensor, planned: float) -> torch.Tensor:
        rates = [planned] if self._rates is None else self._rates
        if len(rates) == 1:
            return own * nn.functional.dropout(torch.ones_like(own[0]), rates[0])
        every = [rate for rate, size in zip(rates, self._group_sizes, strict=True) for _ in range(size)]
        rate = beside(torch.tensor(every, device=own.device), own)
        return own * ((torch.rand(own[0].shape, device=own.device) >= rate) / (1 - rate))


def _scores(losses: torch.Tensor, accuracies: torch.Tensor) -> list[Score]:
    return [Score(float(loss), float(hits)) for loss, hits in zip(losses, accuracies, strict=True)]


def _dropouts(trials: Sequence[Trial]) -> tuple[list[float] | None, list[int]]:
    """The distinct dropout rates in order (None if the trials set none), and how many trials have each."""
    if trials[0].dropout is None:
        return None, [len(trials)]
    sizes: dict[float, int] = {}
    for trial in trials:
        rate = float(trial.dropout or 0)
        sizes[rate] = sizes.get(rate, 0) + 1
    return list(sizes), list(sizes.values())


def _linear_of_groups(
    shared: list[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor, sizes: list[int]
) -> torch.Tensor:
    """[trials, batch, outputs]: one product for all trials that share an input [batch, inputs]."""
    if len(shared) == 1:
        return _linear_together(shared[0], weight, bias)
    groups = zip(shared, weight.split(sizes), bias.split(sizes), strict=True)
    return torch.cat([_linear_together(x, w, b) for x, w, b in groups])


def _linear_together(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    together = nn.functional.linear(x, weight.flatten(0, 1), bias.flatten())
    return together.view(len(x), len(weight), -1).transpose(0, 1)
