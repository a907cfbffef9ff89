"""Train one head: everything after the cut, with torch's own optimizers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from headstart.errors import ModelError
from headstart.ground import runtime
from headstart.pipeline.features.feature_file import batches, on_device
from headstart.pipeline.network.modules import Chain, train_mode
from headstart.pipeline.training import resuming
from headstart.pipeline.training.batches import steps_per_epoch
from headstart.pipeline.training.history import Epoch, Score
from headstart.pipeline.training.loop import Batches, OnEpoch, State, ignore, train_epochs
from headstart.pipeline.training.optimizers import make_optimizer, make_scheduler
from headstart.pipeline.training.resuming import Checkpoint
from headstart.pipeline.training.settings import Train
from headstart.pipeline.training.standardize import fit_standardize
from headstart.pipeline.training.training_data import TrainingData


class Trained(NamedTuple):
    """The head's tensors at its best epoch, by torchvision's names, on the CPU; and every epoch."""

    tensors: dict[str, torch.Tensor]
    history: list[Epoch]


def train_head(
    data: TrainingData,
    head: Chain,
    settings: Train,
    on_epoch: OnEpoch = ignore,
    *,
    fit: bool = True,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train until all epochs are done or patience runs out; keep the epoch with the lowest validation loss.

    Args:
        head: the layers after the cut, with their starting weights.
        fit: fit `Standardize` layers to the training rows; False keeps the values in `head`.
        checkpoint: where the state is written after each epoch, and read from if it exists.

    Raises:
        ModelError: the loss became NaN or infinite.
    """
    learner = OneHead(data, head, settings, fit)
    histories = train_epochs(learner, data, settings, on_epoch, checkpoint)
    if epoch := histories.diverged[0]:
        raise ModelError(
            f"epoch {epoch.epoch}: the loss is {epoch.train_loss} in training and {epoch.val_loss} in "
            "validation; lower train.lr"
        )
    return Trained(learner.best(0), histories.of(0))


class OneHead:
    """A `Learner` of one head."""

    heads = 1

    def __init__(self, data: TrainingData, head: Chain, settings: Train, fit: bool) -> None:
        runtime.make_deterministic(settings.seed)
        self._data, self._settings = data, settings
        self._names = set(data.network.head_names())
        self._head = head.to(runtime.device())
        if fit:
            fit_standardize(head, data.rows, data.train.indices, data.network.eval_batch)
        self._best: dict[str, torch.Tensor] = {}
        weights = data.class_weights
        self._loss_of = nn.CrossEntropyLoss(
            weight=None if weights is None else weights.to(runtime.device()),
            label_smoothing=settings.label_smoothing,
        )
        self._make_optimizer()

    def rates(self) -> list[float]:
        return [self._optimizer.param_groups[0]["lr"]]

    def train_epoch(self, drawn: Batches) -> list[Score]:
        head = train_mode(self._head)
        learning = [parameter for parameter in head.parameters() if parameter.requires_grad]
        loss_sum = torch.zeros((), dtype=torch.float64, device=runtime.device())
        hits, seen = torch.zeros((), dtype=torch.int64, device=runtime.device()), 0
        for batch, labels in drawn:
            with runtime.autocast(self._settings.precision):
                logits = head(batch)
                loss = self._loss_of(logits, labels)
            self._optimizer.zero_grad()
            loss.backward()
            if self._settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(learning, self._settings.clip_norm)
            self._optimizer.step()
            self._scheduler.step()
            # read once per epoch, so that an accelerator need not wait
            loss_sum += loss.detach().double() * len(labels)
            hits += (logits.argmax(1) == labels).sum()
            seen += len(labels)
        return [Score(loss_sum.item() / seen, hits.item() / seen)]

    @torch.inference_mode()
    def evaluate(self) -> list[Score]:
        self._head.eval()
        loss = hits = 0.0
        split = self._data.val
        for part, batch in batches(self._data.rows, split.indices, self._data.network.eval_batch):
            labels = on_device(split.labels_of(part))
            logits = self._head(batch)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            hits += (logits.argmax(1) == labels).sum().item()
        return [Score(loss / len(split.indices), hits / len(split.indices))]

    def keep(self, improved: Iterable[int]) -> None:
        for _ in improved:
            self._best = {name: t.cpu().clone() for name, t in self._own().items()}

    def best(self, head: int) -> dict[str, torch.Tensor]:
        return self._best

    def state(self) -> State:
        tensors = resuming.pack(
            head=self._own(), best=self._best, optimizer=resuming.optimizer_tensors(self._optimizer)
        )
        groups = self._optimizer.state_dict()["param_groups"]
        return tensors, {"groups": groups, "scheduler": self._scheduler.state_dict()}

    def restore(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        self._head.load({**self._head.tensors(), **resuming.unpack(tensors, "head")})
        self._head.to(runtime.device()).to(memory_format=torch.channels_last)
        self._make_optimizer()
        resuming.restore_optimizer(self._optimizer, resuming.unpack(tensors, "optimizer"), values["groups"])
        self._scheduler.load_state_dict(values["scheduler"])
        self._best = resuming.unpack(tensors, "best")

    def _own(self) -> dict[str, torch.Tensor]:
        return {name: t.detach() for name, t in self._head.tensors().items() if name in self._names}

    def _make_optimizer(self) -> None:
        self._optimizer = make_optimizer(train_mode(self._head), self._settings)
        rows, least = len(self._data.train.indices), self._data.network.least_rows
        steps = steps_per_epoch(rows, self._settings.batch_size, least)
        self._scheduler = make_scheduler(self._optimizer, self._settings, steps)
