"""The epochs of heads that train on the same batches: which are finished, which diverged, which leads."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Score:
    """Mean loss per image in nats, and accuracy, of one head over one split."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Epoch:
    """One epoch's results; the validation loss is without label smoothing and class weights."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """The first epoch with the lowest validation loss."""
    return min(history, key=lambda epoch: (epoch.val_loss, epoch.epoch))


class Histories:
    """The epochs of each head; a head gets no more once its patience runs out or its loss diverges.

    Attributes:
        epochs: how many epochs have been trained.
        diverged: the epoch at which a head's loss became NaN or infinite; None if it did not.
    """

    def __init__(self, heads: int, patience: int) -> None:
        self.epochs = 0
        self.diverged: list[Epoch | None] = [None] * heads
        self._histories: list[list[Epoch]] = [[] for _ in range(heads)]
        self._patience = patience

    def of(self, head: int) -> list[Epoch]:
        """The epochs of one head."""
        return self._histories[head]

    @property
    def are_over(self) -> bool:
        """Whether every head has finished training."""
        return all(map(self._is_over, range(len(self._histories))))

    @property
    def all_diverged(self) -> bool:
        """Whether no head has a usable loss."""
        return None not in self.diverged

    def add(self, rates: Iterable[float], train: Iterable[Score], val: Iterable[Score]) -> list[int]:
        """Add an epoch for every head, from its learning rate and scores; returns the heads that improved."""
        self.epochs += 1
        improved = []
        for head, (lr, trained, judged) in enumerate(zip(rates, train, val, strict=True)):
            if self._is_over(head):
                continue
            epoch = Epoch(self.epochs, lr, trained.loss, trained.accuracy, judged.loss, judged.accuracy)
            if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss)):
                self.diverged[head] = epoch
                continue
            self._histories[head].append(epoch)
            if best_epoch(self._histories[head]) is epoch:
                improved.append(head)
        return improved

    def leader(self, number: int) -> Epoch:
        """The latest epoch, as of epoch `number`, of the head that was best so far."""
        alive = [
            history[:number]
            for history, diverged in zip(self._histories, self.diverged, strict=True)
            if history and not diverged
        ]
        best = min(alive, key=lambda history: best_epoch(history).val_loss)
        return replace(best[-1], epoch=number)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for `restore`."""
        return {
            "epochs": self.epochs,
            "diverged": [asdict(epoch) if epoch else None for epoch in self.diverged],
            "histories": [[asdict(epoch) for epoch in history] for history in self._histories],
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Restore the state that `to_dict` returned."""
        self.epochs = values["epochs"]
        self.diverged = [Epoch(**epoch) if epoch else None for epoch in values["diverged"]]
        self._histories = [[Epoch(**epoch) for epoch in history] for history in values["histories"]]

    def _is_over(self, head: int) -> bool:
        if self.diverged[head]:
            return True
        history = self._histories[head]
        return bool(history) and len(history) - best_epoch(history).epoch >= self._patience
