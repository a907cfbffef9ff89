"""Many settings of one head, trained side by side as one batched computation over the same features.

All trials see the same batches in the same order, so that the features are read once for all of them.
Where the input of a linear layer is the same for every trial, all their weights are one matrix and one
product; `torch.func.vmap` makes a batch of small products of it, which is ten times slower.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from headstart import runtime
from headstart.errors import ModelError
from headstart.model import kinds, resuming
from headstart.model.examples import LabelledRows
from headstart.model.feature_file import Rows, batches
from headstart.model.modules import Chain
from headstart.model.network import Network, PlannedLayer
from headstart.model.resuming import Checkpoint
from headstart.model.training import (
    Epoch,
    TrainOptions,
    best_epoch,
    fit_standardize,
    make_scheduler,
    shuffled,
    train_head,
)

MOST_BYTES = 2**30  # of weights, gradients and moments of the trials that train at once
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
BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch.optim.AdamW's
TINY = 1e-20  # a learning rate of 0 is a step of nothing, not a division by 0


@dataclass(frozen=True)
class Trial:
    """The settings that one trial has of its own; `dropout` is that of every dropout layer after the cut."""

    lr: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    dropout: float | None

    def options(self, common: TrainOptions) -> TrainOptions:
        """These settings in the place of the common ones."""
        own = {name: value for name, value in asdict(self).items() if name != "dropout"}
        return replace(common, **own)


@dataclass(frozen=True)
class Outcome:
    """What a trial gave: its best epoch, and how many it trained; None where its loss was no number."""

    trial: Trial
    epochs: int
    best: Epoch | None


def can_batch(network: Network) -> bool:
    """Whether the layers after the cut are of kinds that train side by side."""
    return all(
        isinstance(layer.kind, BATCHED) and (layer.is_trained <= isinstance(layer.kind, kinds.Linear))
        for layer in network.after
    )


def train_trials(
    network: Network,
    head: Callable[[], Chain],
    features: Rows,
    train: LabelledRows,
    val: LabelledRows,
    options: TrainOptions,
    trials: Sequence[Trial],
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    *,
    class_weights: torch.Tensor | None = None,
    fit: bool = True,
    checkpoint: Callable[[int], Checkpoint] | None = None,
) -> tuple[dict[str, torch.Tensor], list[Epoch], list[Outcome]]:
    """Train every trial and keep the one with the lowest validation loss.

    Args:
        head: makes the layers after the cut with their starting weights.
        checkpoint: of the group of trials that starts with the trial of that number.
        on_epoch: told of the best trial so far, once for each epoch of each group.

    Returns:
        The best trial's tensors and epochs, and the outcome of each trial in its order.

    Raises:
        ModelError: no trial's loss stayed a number.
    """
    best: tuple[float, dict[str, torch.Tensor], list[Epoch]] = (math.inf, {}, [])
    outcomes: list[Outcome] = []
    size = _group_size(network) if can_batch(network) else 1
    for first in range(0, len(trials), size):
        group = trials[first : first + size]
        state = checkpoint(first) if checkpoint else None
        if can_batch(network):
            runner = _Group(network, head(), features, train, val, options, group, class_weights, fit)
            found = runner.run(on_epoch, state)
        else:
            found = _alone(
                network, head(), features, train, val, options, group[0], on_epoch, class_weights, fit, state
            )
        for trial, (tensors, history) in zip(group, found, strict=True):
            outcomes.append(Outcome(trial, len(history), best_epoch(history) if tensors else None))
            if tensors and best_epoch(history).val_loss < best[0]:
                best = (best_epoch(history).val_loss, tensors, history)
    if not best[1]:
        raise ModelError("the loss of every trial is no number; lower the learning rates of train.trials")
    return best[1], best[2], outcomes


Found = list[tuple[dict[str, torch.Tensor], list[Epoch]]]


def _alone(
    network: Network,
    head: Chain,
    features: Rows,
    train: LabelledRows,
    val: LabelledRows,
    options: TrainOptions,
    trial: Trial,
    on_epoch: Callable[[Epoch], object],
    class_weights: torch.Tensor | None,
    fit: bool,
    state: Checkpoint | None,
) -> Found:
    for module in head.modules():
        if isinstance(module, nn.Dropout) and trial.dropout is not None:
            module.p = trial.dropout
    try:
        tensors, history = train_head(
            network,
            head,
            features,
            train,
            val,
            trial.options(options),
            on_epoch,
            class_weights=class_weights,
            fit=fit,
            checkpoint=state,
        )
    except ModelError:
        return [({}, [])]
    return [(tensors, history)]


def _group_size(network: Network) -> int:
    numbers = sum(layer.kind.parameters for layer in network.after if layer.is_trained)
    return max(1, MOST_BYTES // (20 * numbers))


class _Group:
    """Trials that train at once; every trained tensor has a first dimension of trials."""

    def __init__(
        self,
        network: Network,
        head: Chain,
        features: Rows,
        train: LabelledRows,
        val: LabelledRows,
        options: TrainOptions,
        trials: Sequence[Trial],
        class_weights: torch.Tensor | None,
        fit: bool,
    ) -> None:
        runtime.make_deterministic(options.seed)
        self._device = runtime.device()
        self._network, self._features, self._train, self._val = network, features, train, val
        # trials of the same dropout stand together; `run` gives them back in their order
        self._order = sorted(range(len(trials)), key=lambda i: trials[i].dropout or 0)
        self._options, self._trials = options, [trials[i] for i in self._order]
        self._rates, self._group_sizes = _dropouts(self._trials)
        self._columns = {
            name: torch.tensor([getattr(trial, name) for trial in self._trials], device=runtime.device())
            for name in ("lr", "momentum", "weight_decay", "label_smoothing")
        }
        self._head = head.to(self._device)
        if fit:
            fit_standardize(head, features, train.indices, network.eval_batch)
        self._head.eval().requires_grad_(False)
        self._layers = [(layer, module) for layer, module in head.named() if isinstance(layer, PlannedLayer)]
        learning = {
            f"{layer.name}.{name}"
            for layer, _ in self._layers
            if layer.is_trained
            for name in layer.kind.tensors()
        }
        self._weights = {
            name: tensor.detach().unsqueeze(0).repeat(len(trials), *[1] * tensor.dim())
            for name, tensor in head.tensors().items()
            if name in learning
        }
        for tensor in self._weights.values():
            tensor.requires_grad_()
        zeros = {name: torch.zeros_like(tensor) for name, tensor in self._weights.items()}
        self._mean = zeros
        self._square = (
            {name: torch.zeros_like(t) for name, t in zeros.items()} if options.optimizer == "adamw" else {}
        )
        self._steps = 0
        self._smooths = any(trial.label_smoothing for trial in self._trials)
        self._decays = any(trial.weight_decay for trial in self._trials)
        self._class_weights = None if class_weights is None else class_weights.to(self._device)
        self._best = {name: tensor.detach().clone() for name, tensor in self._weights.items()}
        self._histories: list[list[Epoch]] = [[] for _ in trials]
        self._over = [False] * len(trials)
        self._diverged = [False] * len(trials)
        dummy = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        per_epoch = math.ceil(len(train.indices) / options.batch_size)
        self._scheduler = make_scheduler(dummy, replace(options, lr=1.0), per_epoch)
        self._dummy = dummy

    def run(self, on_epoch: Callable[[Epoch], object], state: Checkpoint | None) -> Found:
        order = runtime.generator(self._options.seed)
        epoch = 0
        if state is not None and (saved := state.load()) is not None:
            tensors, values = saved
            epoch = self._restore(tensors, values)
            resuming.restore_random(tensors, order, values["order"])
            for _ in range(epoch):
                on_epoch(self._leader())
        while epoch < self._options.epochs and not all(self._over):
            epoch += 1
            factor = float(self._dummy.param_groups[0]["lr"])
            drawn = shuffled(self._features, self._train, self._options.batch_size, order)
            losses = self._train_epoch(drawn)
            self._note(epoch, factor, losses, self._evaluate())
            if state is not None:
                self._save(state, epoch, resuming.random_values(order))
            if not all(self._diverged):
                on_epoch(self._leader())
        found = dict(zip(self._order, map(self._result, range(len(self._trials))), strict=True))
        return [found[index] for index in range(len(found))]

    def _result(self, index: int) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
        history = self._histories[index]
        if self._diverged[index] or not history:
            return {}, history
        own = {name: tensor[index].cpu() for name, tensor in self._best.items()}
        names = self._network.head_names()
        fixed = {name: t.detach().cpu() for name, t in self._head.tensors().items() if name in names}
        return {**fixed, **own}, history

    def _leader(self) -> Epoch:
        alive = [h for h, gone in zip(self._histories, self._diverged, strict=True) if h and not gone]
        best = min(alive, key=lambda history: best_epoch(history).val_loss)
        return replace(best[-1], epoch=max(len(history) for history in alive))

    def _forward(self, x: torch.Tensor, training: bool) -> torch.Tensor:
        """Logits [trials, batch, classes] of inputs that all trials share.

        Until the first trained layer, trials with the same dropout share one input, and their weights are one
        matrix; after it every trial has an input of its own.
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
            else:  # poolings stand before the first linear layer; the others work on the last dimension
                function = nn.functional.relu if isinstance(layer.kind, kinds.ReLU) else module
                if own is None:
                    shared = [function(part) for part in shared]
                else:
                    own = function(own)
        assert own is not None
        return own

    def _drop_shared(self, shared: list[torch.Tensor], planned: float) -> list[torch.Tensor]:
        """Drop alike for trials of the same rate; the draws are the same for all rates."""
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
        rate = _beside(torch.tensor(every, device=own.device), own)
        return own * ((torch.rand(own[0].shape, device=own.device) >= rate) / (1 - rate))

    def _train_epoch(
        self, drawn: Iterator[tuple[torch.Tensor, torch.Tensor]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss and accuracy of every trial: two of float64 [trials]."""
        count = len(self._trials)
        smoothing = self._columns["label_smoothing"] if self._smooths else None
        loss_sum = torch.zeros(count, dtype=torch.float64, device=self._device)
        hits = torch.zeros(count, dtype=torch.int64, device=self._device)
        names = list(self._weights)
        for data, labels in drawn:
            with runtime.autocast(self._options.precision):
                logits = self._forward(data, training=True)
            losses = _losses(logits.float(), labels, smoothing, self._class_weights)
            gradients = torch.autograd.grad(losses.sum(), [self._weights[name] for name in names])
            self._step(dict(zip(names, gradients, strict=True)))
            loss_sum.add_(losses.detach(), alpha=len(labels))
            hits += (logits.argmax(-1) == labels).sum(1)
        seen = len(self._train.indices)
        return loss_sum.cpu() / seen, hits.cpu() / seen

    @torch.no_grad()
    def _step(self, gradients: dict[str, torch.Tensor]) -> None:
        """torch.optim's AdamW or SGD with Nesterov momentum, a learning rate and decay a trial."""
        self._steps += 1
        lr = self._columns["lr"] * float(self._dummy.param_groups[0]["lr"])
        decay, momentum = self._columns["weight_decay"], self._columns["momentum"]
        if self._options.clip_norm is not None:
            squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()])
            scale = (self._options.clip_norm / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1)
            gradients = {name: g * _beside(scale, g) for name, g in gradients.items()}
        for name, gradient in gradients.items():
            weight, mean = self._weights[name], self._mean[name]
            rate = _beside(lr, weight)
            if self._options.optimizer == "adamw":
                square = self._square[name]
                if self._decays:
                    weight.mul_(1 - rate * _beside(decay, weight))
                mean.lerp_(gradient, 1 - BETAS[0])
                square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                # weight -= step * mean / (sqrt(square) / correction + epsilon), in few passes
                correction = math.sqrt(1 - BETAS[1] ** self._steps)
                step = (rate / (1 - BETAS[0] ** self._steps)).clamp(min=TINY)
                divisor = square.sqrt().mul_(1 / (correction * step)).add_(EPSILON / step)
                weight.addcdiv_(mean, divisor, value=-1)
            else:
                gradient = gradient + weight * _beside(decay, weight)
                share = _beside(momentum, weight)
                mean.mul_(share).add_(gradient) if self._steps > 1 else mean.copy_(gradient)
                weight.sub_((gradient + mean * share).mul_(rate))
        if self._steps == 1:
            self._dummy.step()  # torch warns of a schedule that is stepped before any optimizer was
        self._scheduler.step()

    @torch.inference_mode()
    def _evaluate(self) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(self._trials)
        loss_sum, hits = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        size = max(1, self._network.eval_batch // max(1, count // 8))
        for part, batch in batches(self._features, self._val.indices, size):
            labels = self._val.labels_of(part).to(self._device)
            logits = self._forward(batch, training=False)
            losses = _losses(logits, labels, None, None)
            loss_sum += losses.double().cpu() * len(labels)
            hits += (logits.argmax(-1) == labels).sum(1).double().cpu()
        return loss_sum / len(self._val.indices), hits / len(self._val.indices)

    def _note(
        self,
        number: int,
        factor: float,
        train: tuple[torch.Tensor, torch.Tensor],
        val: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        for index, trial in enumerate(self._trials):
            if self._over[index]:
                continue
            numbers = [float(part[index]) for part in (*train, *val)]
            if not (math.isfinite(numbers[0]) and math.isfinite(numbers[2])):
                self._over[index] = self._diverged[index] = True
                continue
            history = self._histories[index]
            history.append(Epoch(number, trial.lr * factor, *numbers))
            if best_epoch(history) is history[-1]:
                for name, tensor in self._weights.items():
                    self._best[name][index] = tensor.detach()[index]
            self._over[index] = number - best_epoch(history).epoch >= self._options.patience

    def _save(self, state: Checkpoint, epoch: int, order: dict[str, object]) -> None:
        state.save(
            resuming.pack(
                weights=self._weights,
                mean=self._mean,
                square=self._square,
                best=self._best,
                random=runtime.random_state(),
            ),
            {
                "epoch": epoch,
                "steps": self._steps,
                "lr": self._dummy.param_groups[0]["lr"],
                "scheduler": self._scheduler.state_dict(),
                "order": order,
                "over": self._over,
                "diverged": self._diverged,
                "histories": [[asdict(e) for e in history] for history in self._histories],
            },
        )

    def _restore(self, tensors: dict[str, torch.Tensor], saved: dict[str, Any]) -> int:
        with torch.no_grad():
            for group, own in (
                ("weights", self._weights),
                ("mean", self._mean),
                ("square", self._square),
                ("best", self._best),
            ):
                for name, tensor in resuming.unpack(tensors, group).items():
                    own[name].copy_(tensor)
        self._steps = saved["steps"]
        self._dummy.param_groups[0]["lr"] = saved["lr"]
        self._scheduler.load_state_dict(saved["scheduler"])
        self._over, self._diverged = saved["over"], saved["diverged"]
        self._histories = [[Epoch(**epoch) for epoch in history] for history in saved["histories"]]
        return int(saved["epoch"])


def _dropouts(trials: Sequence[Trial]) -> tuple[list[float] | None, list[int]]:
    """The distinct rates of trials in that order, None where they have none, and how many have each."""
    if trials[0].dropout is None:
        return None, [len(trials)]
    sizes: dict[float, int] = {}
    for trial in trials:
        rate = float(trial.dropout or 0)
        sizes[rate] = sizes.get(rate, 0) + 1
    return list(sizes), list(sizes.values())


def _losses(
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothing: torch.Tensor | None,
    class_weights: torch.Tensor | None,
) -> torch.Tensor:
    """`nn.functional.cross_entropy` of every trial, with a smoothing of its own: [trials].

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


def _beside(column: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return column.view(-1, *[1] * (tensor.dim() - 1))
