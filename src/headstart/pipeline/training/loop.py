"""The training loop, the same for one head and for many side by side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch

from headstart.ground import runtime
from headstart.pipeline.training import resuming
from headstart.pipeline.training.batches import joined, shuffled
from headstart.pipeline.training.history import Epoch, Histories, Score
from headstart.pipeline.training.resuming import Checkpoint
from headstart.pipeline.training.settings import Train
from headstart.pipeline.training.training_data import TrainingData

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]
OnEpoch = Callable[[Epoch], object]
State = tuple[dict[str, torch.Tensor], dict[str, Any]]


class Learner(Protocol):
    """Heads that learn from the same batches; results are per head, in a fixed order."""

    @property
    def heads(self) -> int:
        """How many heads there are."""

    def rates(self) -> Sequence[float]:
        """The current learning rates."""

    def train_epoch(self, drawn: Batches) -> Sequence[Score]:
        """Take one step per batch; returns the scores over all of them."""

    def evaluate(self) -> Sequence[Score]:
        """Scores of the validation rows, in eval mode."""

    def keep(self, improved: Iterable[int]) -> None:
        """Remember the current tensors of some heads as their best."""

    def best(self, head: int) -> dict[str, torch.Tensor]:
        """The tensors kept most recently, by torchvision's names, on the CPU."""

    def state(self) -> State:
        """Tensors and plain JSON values from which `restore` resumes."""

    def restore(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        """Restore what `state` returned."""


def ignore(epoch: Epoch) -> None:
    """An `on_epoch` for callers that show no progress."""


def train_epochs(
    learner: Learner, data: TrainingData, settings: Train, on_epoch: OnEpoch, checkpoint: Checkpoint | None
) -> Histories:
    """Train until all epochs are done or every head's patience has run out.

    Args:
        on_epoch: called after each epoch with the leading head's, and again for earlier epochs on resuming.
        checkpoint: where the state is written after each epoch, and read from if it exists.
    """
    order = runtime.generator(settings.seed)
    histories = Histories(learner.heads, settings.patience)
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        tensors, values = saved
        learner.restore(tensors, values["learner"])
        histories.restore(values["histories"])
        resuming.restore_random(tensors, order, values["order"])
        for number in range(histories.epochs):
            on_epoch(histories.leader(number + 1))
    while histories.epochs < settings.epochs and not histories.are_over:
        rates = learner.rates()
        drawn = shuffled(data.rows, data.train, settings.batch_size, order)
        if data.network.least_rows > 1:
            drawn = joined(drawn, data.network.least_rows)
        learner.keep(histories.add(rates, learner.train_epoch(drawn), learner.evaluate()))
        if histories.all_diverged:
            break
        if checkpoint is not None:
            tensors, values = learner.state()
            checkpoint.save(
                {**tensors, **resuming.pack(random=runtime.random_state())},
                {
                    "learner": values,
                    "histories": histories.to_dict(),
                    "order": resuming.random_values(order),
                },
            )
        on_epoch(histories.leader(histories.epochs))
    return histories
