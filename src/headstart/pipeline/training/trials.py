"""Train every trial, side by side if the layers allow it, and keep the best head."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from headstart.errors import ModelError
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network
from headstart.pipeline.training.batched import Batched, can_batch
from headstart.pipeline.training.history import Epoch, best_epoch
from headstart.pipeline.training.loop import Learner, OnEpoch, ignore, train_epochs
from headstart.pipeline.training.one_head import OneHead
from headstart.pipeline.training.resuming import Checkpoint
from headstart.pipeline.training.settings import Train, Trial
from headstart.pipeline.training.training_data import TrainingData

MOST_BYTES = 2**30  # of weights, gradients and moments of the trials that train at once


@dataclass(frozen=True)
class Outcome:
    """A trial's result: epochs trained and the best one; `best` is None if the loss diverged."""

    trial: Trial
    epochs: int
    best: Epoch | None


def train_trials(
    data: TrainingData,
    head: Callable[[], Chain],
    settings: Train,
    trials: Sequence[Trial],
    on_epoch: OnEpoch = ignore,
    *,
    fit: bool = True,
    checkpoint: Callable[[int], Checkpoint] | None = None,
) -> tuple[dict[str, torch.Tensor], list[Epoch], list[Outcome]]:
    """Train every trial and keep the one with the lowest validation loss.

    Args:
        head: makes the layers after the cut with their starting weights.
        on_epoch: called with the leading trial's epoch, once per epoch of each group.
        fit: fit `Standardize` layers to the training rows; False keeps the values in `head`.
        checkpoint: maps the number of a group's first trial to the group's checkpoint.

    Returns:
        The best trial's tensors and epochs, and the outcome of every trial, in order.

    Raises:
        ModelError: every trial's loss diverged.
    """
    best: tuple[float, dict[str, torch.Tensor], list[Epoch]] = (math.inf, {}, [])
    outcomes: list[Outcome] = []
    size = _group_size(data.network)
    for first in range(0, len(trials), size):
        group = trials[first : first + size]
        state = checkpoint(first) if checkpoint else None
        found = _train_group(data, head(), settings, group, on_epoch, fit, state)
        for trial, (tensors, history) in zip(group, found, strict=True):
            outcomes.append(Outcome(trial, len(history), best_epoch(history) if tensors else None))
            if tensors and best_epoch(history).val_loss < best[0]:
                best = (best_epoch(history).val_loss, tensors, history)
    if not best[1]:
        raise ModelError(
            "every trial diverged (loss is NaN or inf); lower the learning rates in train.trials"
        )
    return best[1], best[2], outcomes


def groups(network: Network, trials: int) -> int:
    """How many groups of trials train one after the other."""
    return math.ceil(trials / _group_size(network))


def _train_group(
    data: TrainingData,
    head: Chain,
    settings: Train,
    group: Sequence[Trial],
    on_epoch: OnEpoch,
    fit: bool,
    checkpoint: Checkpoint | None,
) -> list[tuple[dict[str, torch.Tensor], list[Epoch]]]:
    """Tensors and epochs of each trial; no tensors if its loss diverged."""
    order = sorted(range(len(group)), key=lambda index: group[index].dropout or 0)
    learner = _learner(data, head, settings, [group[index] for index in order], fit)
    histories = train_epochs(learner, data, settings, on_epoch, checkpoint)
    found = {
        index: ({} if histories.diverged[place] else learner.best(place), histories.of(place))
        for place, index in enumerate(order)
    }
    return [found[index] for index in range(len(group))]


def _learner(data: TrainingData, head: Chain, settings: Train, trials: Sequence[Trial], fit: bool) -> Learner:
    if can_batch(data.network):
        return Batched(data, head, settings, trials, fit)
    own = trials[0]
    for module in head.modules():
        if isinstance(module, nn.Dropout) and own.dropout is not None:
            module.p = own.dropout
    return OneHead(data, head, settings.of_trial(own), fit)


def _group_size(network: Network) -> int:
    if not can_batch(network):
        return 1
    numbers = sum(layer.kind.parameters for layer in network.after if layer.is_trained)
    return max(1, MOST_BYTES // (20 * numbers))
