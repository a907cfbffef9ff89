"""Train what comes after the cut, on stored features, window by window."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from headstart import runtime
from headstart.errors import ModelError
from headstart.model.examples import Rows
from headstart.model.feature_file import Features
from headstart.model.heads import Standardize
from headstart.model.network import Chain, Network

BLOCK_ROWS = 64
WINDOW_BYTES = 256 * 2**20


@dataclass(frozen=True)
class TrainOptions:
    """Section `train` of params.yaml.

    Attributes:
        optimizer: `adamw` or `sgd` (with Nesterov momentum).
        schedule: `cosine` (to 0 over all steps) or `constant`.
        patience: epochs without a better validation loss before training stops.
    """

    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    epochs: int
    batch_size: int
    patience: int
    seed: int


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave; losses are means an image, in nats."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


def train_head(
    network: Network,
    head: Chain,
    features: Features,
    train: Rows,
    val: Rows,
    options: TrainOptions,
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
    """Train until the epochs or the patience end; the best epoch by validation loss is kept.

    Args:
        head: the layers after the cut, with their starting weights.

    Returns:
        The head's tensors at the best epoch, by torchvision's names, and every epoch.

    Raises:
        ModelError: the loss is no longer a number.
    """
    runtime.make_deterministic(options.seed)
    fit_standardize(head, features, train.indices)
    optimizer = make_optimizer(network.train_mode(head), options)
    steps = options.epochs * math.ceil(len(train.indices) / options.batch_size)
    scheduler = make_scheduler(optimizer, options.schedule, steps)
    order = runtime.generator(options.seed)
    history: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    for number in range(1, options.epochs + 1):
        lr = optimizer.param_groups[0]["lr"]
        network.train_mode(head)
        batches = shuffled(features, train, options.batch_size, order)
        train_scores = _train_epoch(head, batches, optimizer, scheduler)
        val_scores = evaluate_head(head, features, val)
        history.append(Epoch(number, lr, *train_scores, *val_scores))
        _check_finite(history[-1])
        on_epoch(history[-1])
        if best_epoch(history) is history[-1]:
            names = set(network.head_names())
            best = {name: t.clone() for name, t in head.tensors().items() if name in names}
        if number - best_epoch(history).epoch >= options.patience:
            break
    return best, history


def best_epoch(history: list[Epoch]) -> Epoch:
    """The first epoch with the lowest validation loss."""
    return min(history, key=lambda epoch: (epoch.val_loss, epoch.epoch))


@torch.inference_mode()
def fit_standardize(head: Chain, features: Features, rows: range) -> None:
    """Set the mean and scale of a `Standardize` layer from the training features (float64 sums).

    A channel that never varies is left as it is, less its mean.
    """
    for position, layer in enumerate(head.layers):
        if isinstance(layer.module, Standardize):
            before = Chain(head.layers[:position]).eval()
            mean, variance = _moments(before, features, rows)
            scale = torch.where(variance > 0, variance.rsqrt(), torch.ones_like(variance))
            layer.module.mean.copy_(mean)
            layer.module.scale.copy_(scale)


@torch.inference_mode()
def evaluate_head(head: Chain, features: Features, split: Rows) -> tuple[float, float]:
    """Mean cross entropy and accuracy of a split, in eval mode."""
    head.eval()
    loss = hits = 0.0
    for part, batch in features.batches(split.indices, 256):
        labels = split.labels_of(part)
        logits = head(batch)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        hits += (logits.argmax(1) == labels).sum().item()
    return loss / len(split.indices), hits / len(split.indices)


def shuffled(
    features: Features, split: Rows, size: int, order: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch's batches in a new random order.

    Blocks of neighbouring rows are shuffled, then rows within a window of blocks: the file is read
    in long pieces and memory stays at one window. Rows are stored in the order of their pixel
    digests, so that neighbours have nothing in common; features smaller than a window are shuffled
    completely.
    """
    rows = split.indices
    starts = np.arange(rows.start, rows.stop, BLOCK_ROWS)
    order.shuffle(starts)
    row_bytes = 4 * max(1, math.prod(features.shape[1:]))
    in_window = max(1, WINDOW_BYTES // (BLOCK_ROWS * row_bytes))
    left: tuple[torch.Tensor, torch.Tensor] | None = None
    for first in range(0, len(starts), in_window):
        blocks = [range(s, min(s + BLOCK_ROWS, rows.stop)) for s in starts[first : first + in_window]]
        data = torch.cat([features.rows(block.start, block.stop) for block in blocks])
        labels = torch.cat([split.labels_of(block) for block in blocks])
        mixed = torch.from_numpy(order.permutation(len(data)))
        data, labels = data[mixed], labels[mixed]
        if left is not None:
            data, labels = torch.cat([left[0], data]), torch.cat([left[1], labels])
        whole = len(data) // size * size
        for start in range(0, whole, size):
            yield data[start : start + size], labels[start : start + size]
        left = (data[whole:], labels[whole:])
    if left is not None and len(left[0]):
        yield left


def make_optimizer(head: Chain, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters whose gradients are on."""
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=options.lr, weight_decay=options.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=options.lr,
        momentum=options.momentum,
        nesterov=options.momentum > 0,
        weight_decay=options.weight_decay,
    )


def make_scheduler(
    optimizer: torch.optim.Optimizer, schedule: str, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A step a batch: cosine to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983), or constant."""
    if schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _train_epoch(
    head: Chain,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> tuple[float, float]:
    loss_sum = hits = seen = 0.0
    for data, labels in batches:
        logits = head(data)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        loss_sum += loss.item() * len(labels)
        hits += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return loss_sum / seen, hits / seen


def _moments(before: Chain, features: Features, rows: range) -> tuple[torch.Tensor, torch.Tensor]:
    total = squares = torch.zeros((), dtype=torch.float64)
    for _, batch in features.batches(rows, 1024):
        values = before(batch).double()
        total = total + values.sum(0)
    mean = total / len(rows)
    for _, batch in features.batches(rows, 1024):
        squares = squares + (before(batch).double() - mean).square().sum(0)
    return mean, squares / len(rows)


def _check_finite(epoch: Epoch) -> None:
    if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss)):
        raise ModelError(
            f"epoch {epoch.epoch}: the loss is {epoch.train_loss} in training and {epoch.val_loss} in "
            "validation; lower train.lr"
        )
