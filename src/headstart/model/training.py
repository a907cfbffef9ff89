"""Train what comes after the cut, window by window of what is stored at the cut."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from headstart import runtime
from headstart.errors import ModelError
from headstart.model import resuming
from headstart.model.examples import LabelledRows
from headstart.model.feature_file import Rows, batches, on_device
from headstart.model.modules import Chain, Standardize, train_mode
from headstart.model.network import Network
from headstart.model.resuming import Checkpoint

BLOCK_ROWS = 64
WINDOW_BYTES = 256 * 2**20


@dataclass(frozen=True)
class TrainOptions:
    """How the trained part learns; section `train` of params.yaml has the same names.

    Attributes:
        optimizer: `adamw` or `sgd` (with Nesterov momentum).
        schedule: `cosine` (to 0 over all steps), `one_cycle` or `constant`.
        patience: epochs without a better validation loss before training stops.
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016,
            arXiv:1512.00567).
        clip_norm: largest norm of all gradients together; None for no limit.
        warmup_epochs: epochs over which the learning rate rises to `lr`; part of an epoch is allowed.
        precision: `bf16` for mixed precision.
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
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    warmup_epochs: float = 0.0
    precision: runtime.Precision = "fp32"


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave; losses are means an image, in nats, in validation without smoothing or weights."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


def train_head(
    network: Network,
    head: Chain,
    features: Rows,
    train: LabelledRows,
    val: LabelledRows,
    options: TrainOptions,
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    *,
    class_weights: torch.Tensor | None = None,
    fit: bool = True,
    checkpoint: Checkpoint | None = None,
) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
    """Train until the epochs or the patience end; the best epoch by validation loss is kept.

    Args:
        head: the layers after the cut, with their starting weights.
        class_weights: float32 [C], how much an image of each class counts.
        fit: fit `Standardize` layers on the training rows; False keeps what `head` holds.
        checkpoint: where the state is kept after each epoch, and taken from if it is there.

    Returns:
        The head's tensors at the best epoch, by torchvision's names, on the CPU, and every epoch.

    Raises:
        ModelError: the loss is no longer a number.
    """
    runtime.make_deterministic(options.seed)
    head.to(runtime.device())
    if fit:
        fit_standardize(head, features, train.indices, network.eval_batch)
    optimizer = make_optimizer(train_mode(head), options)
    steps = math.ceil(len(train.indices) / options.batch_size)
    scheduler = make_scheduler(optimizer, options, steps)
    order = runtime.generator(options.seed)
    loss_of = nn.CrossEntropyLoss(
        weight=None if class_weights is None else class_weights.to(runtime.device()),
        label_smoothing=options.label_smoothing,
    )
    history: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        tensors, values = saved
        head.load({**head.tensors(), **resuming.unpack(tensors, "head")})
        head.to(runtime.device()).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(train_mode(head), options)
        scheduler = make_scheduler(optimizer, options, steps)
        resuming.restore_optimizer(optimizer, resuming.unpack(tensors, "optimizer"), values["groups"])
        scheduler.load_state_dict(values["scheduler"])
        resuming.restore_random(tensors, order, values["order"])
        best = resuming.unpack(tensors, "best")
        history = [Epoch(**epoch) for epoch in values["history"]]
        for epoch in history:
            on_epoch(epoch)
    while len(history) < options.epochs and not _is_over(history, options.patience):
        lr = optimizer.param_groups[0]["lr"]
        drawn = shuffled(features, train, options.batch_size, order)
        train_scores = _train_epoch(train_mode(head), drawn, optimizer, scheduler, loss_of, options)
        val_scores = evaluate_head(head, features, val, network.eval_batch)
        history.append(Epoch(len(history) + 1, lr, *train_scores, *val_scores))
        _check_finite(history[-1])
        if best_epoch(history) is history[-1]:
            names = set(network.head_names())
            best = {name: t.detach().cpu().clone() for name, t in head.tensors().items() if name in names}
        if checkpoint is not None:
            checkpoint.save(
                resuming.pack(
                    head={name: t for name, t in head.tensors().items() if name in network.head_names()},
                    best=best,
                    optimizer=resuming.optimizer_tensors(optimizer),
                    random=runtime.random_state(),
                ),
                {
                    "groups": optimizer.state_dict()["param_groups"],
                    "scheduler": scheduler.state_dict(),
                    "order": resuming.random_values(order),
                    "history": [asdict(epoch) for epoch in history],
                },
            )
        on_epoch(history[-1])
    return best, history


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """The first epoch with the lowest validation loss."""
    return min(history, key=lambda epoch: (epoch.val_loss, epoch.epoch))


@torch.inference_mode()
def fit_standardize(head: Chain, features: Rows, rows: range, size: int) -> None:
    """Set the mean and scale of a `Standardize` layer from the training features (float64 sums).

    A channel that never varies is left as it is, less its mean.
    """
    for position, (_, module) in enumerate(head.named()):
        if isinstance(module, Standardize):
            before = head.part(0, position).eval()
            mean, variance = _moments(before, features, rows, size)
            scale = torch.where(variance > 0, variance.rsqrt(), torch.ones_like(variance))
            module.mean.copy_(mean)
            module.scale.copy_(scale)


@torch.inference_mode()
def evaluate_head(head: Chain, features: Rows, split: LabelledRows, size: int) -> tuple[float, float]:
    """Mean cross entropy and accuracy of a split, in eval mode, `size` rows at once."""
    head.eval()
    loss = hits = 0.0
    for part, batch in batches(features, split.indices, size):
        labels = on_device(split.labels_of(part))
        logits = head(batch)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        hits += (logits.argmax(1) == labels).sum().item()
    return loss / len(split.indices), hits / len(split.indices)


def shuffled(
    features: Rows, split: LabelledRows, size: int, order: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch's batches in a new random order, each image in one of its views.

    Blocks of neighbouring rows are shuffled, then rows within a window of blocks: the file is read
    in long pieces and memory stays at one window. Rows are stored in the order of their pixel
    digests, so that neighbours have nothing in common; features smaller than a window are shuffled
    completely.
    """
    rows = split.indices
    starts = np.arange(rows.start, rows.stop, BLOCK_ROWS)
    order.shuffle(starts)
    row_bytes = 4 * max(1, math.prod(features.row_shape))
    in_window = max(1, WINDOW_BYTES // (BLOCK_ROWS * row_bytes))
    left: tuple[torch.Tensor, torch.Tensor] | None = None
    for first in range(0, len(starts), in_window):
        blocks = [range(s, min(s + BLOCK_ROWS, rows.stop)) for s in starts[first : first + in_window]]
        data = torch.cat([_block(features, block, order) for block in blocks])
        labels = torch.cat([split.labels_of(block) for block in blocks])
        mixed = torch.from_numpy(order.permutation(len(data)))
        data, labels, mixed = (runtime.to_device(part, runtime.device()) for part in (data, labels, mixed))
        data, labels = data[mixed], labels[mixed]
        if left is not None:
            data, labels = torch.cat([left[0], data]), torch.cat([left[1], labels])
        whole = len(data) // size * size
        for start in range(0, whole, size):
            yield on_device(data[start : start + size]), on_device(labels[start : start + size])
        left = (data[whole:], labels[whole:])
    if left is not None and len(left[0]):
        yield on_device(left[0]), on_device(left[1])


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
    optimizer: torch.optim.Optimizer, options: TrainOptions, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A step a batch, over all epochs, after a linear warm-up where one is asked for.

    Cosine to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983), one cycle (Smith and Topin 2018,
    arXiv:1708.07120; torch's, with its own warm-up, momentum left alone), or constant.
    """
    schedulers = torch.optim.lr_scheduler
    steps = options.epochs * steps_per_epoch
    warmup = min(steps - 1, round(options.warmup_epochs * steps_per_epoch))
    if options.schedule == "one_cycle":
        # a cycle of one step has no rise, and torch divides by its length
        total = max(2, steps)
        return schedulers.OneCycleLR(optimizer, options.lr, total_steps=total + 1, cycle_momentum=False)
    main: torch.optim.lr_scheduler.LRScheduler
    if options.schedule == "cosine":
        main = schedulers.CosineAnnealingLR(optimizer, T_max=steps - warmup)
    else:
        main = schedulers.ConstantLR(optimizer, factor=1.0)
    if not warmup:
        return main
    rise = schedulers.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return schedulers.SequentialLR(optimizer, [rise, main], milestones=[warmup])


def _block(features: Rows, block: range, order: np.random.Generator) -> torch.Tensor:
    if features.views == 1:
        return features.rows(block.start, block.stop)
    return features.viewed(block.start, order.integers(features.views, size=len(block)))


def _train_epoch(
    head: Chain,
    drawn: Iterator[tuple[torch.Tensor, torch.Tensor]],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    loss_of: nn.CrossEntropyLoss,
    options: TrainOptions,
) -> tuple[float, float]:
    learning = [parameter for parameter in head.parameters() if parameter.requires_grad]
    loss_sum = torch.zeros((), dtype=torch.float64, device=runtime.device())
    hits, seen = torch.zeros((), dtype=torch.int64, device=runtime.device()), 0
    for data, labels in drawn:
        with runtime.autocast(options.precision):
            logits = head(data)
            loss = loss_of(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        if options.clip_norm is not None:
            nn.utils.clip_grad_norm_(learning, options.clip_norm)
        optimizer.step()
        scheduler.step()
        loss_sum += loss.detach().double() * len(labels)  # read once an epoch: an accelerator need not wait
        hits += (logits.argmax(1) == labels).sum()
        seen += len(labels)
    return loss_sum.item() / seen, hits.item() / seen


def _is_over(history: Sequence[Epoch], patience: int) -> bool:
    return bool(history) and len(history) - best_epoch(history).epoch >= patience


def _moments(before: Chain, features: Rows, rows: range, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    total = squares = torch.zeros((), dtype=torch.float64)
    for _, batch in batches(features, rows, size):
        values = before(batch).double()
        total = total + values.sum(0).cpu()
    mean = total / len(rows)
    for _, batch in batches(features, rows, size):
        squares = squares + (before(batch).double().cpu() - mean).square().sum(0)
    return mean, squares / len(rows)


def _check_finite(epoch: Epoch) -> None:
    if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss)):
        raise ModelError(
            f"epoch {epoch.epoch}: the loss is {epoch.train_loss} in training and {epoch.val_loss} in "
            "validation; lower train.lr"
        )
