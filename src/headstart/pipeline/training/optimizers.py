"""The optimizer of one head, and the learning-rate schedule."""

from typing import Any

import torch

from headstart.pipeline.network.modules import Chain
from headstart.pipeline.training.settings import Train


def make_optimizer(head: Chain, settings: Train) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters that require gradients."""
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
    )


def make_scheduler(
    optimizer: torch.optim.Optimizer, settings: Train, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A schedule with one step per batch over all epochs, after a linear warm-up if `warmup_epochs` is set.

    Cosine to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983), one cycle (Smith and Topin 2018,
    arXiv:1708.07120; torch's, with its own warm-up and constant momentum), or constant.
    """
    schedulers = torch.optim.lr_scheduler
    steps = settings.epochs * steps_per_epoch
    warmup = min(steps - 1, round(settings.warmup_epochs * steps_per_epoch))
    if settings.schedule == "one_cycle":
        # a cycle of one step has no rise, and torch divides by its length
        total = max(2, steps)
        return schedulers.OneCycleLR(optimizer, settings.lr, total_steps=total + 1, cycle_momentum=False)
    main: torch.optim.lr_scheduler.LRScheduler
    if settings.schedule == "cosine":
        main = schedulers.CosineAnnealingLR(optimizer, T_max=steps - warmup)
    else:
        main = schedulers.ConstantLR(optimizer, factor=1.0)
    if not warmup:
        return main
    rise = schedulers.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return schedulers.SequentialLR(optimizer, [rise, main], milestones=[warmup])


class RateSchedule:
    """The schedule as a factor, for heads that each have their own learning rate."""

    def __init__(self, settings: Train, steps_per_epoch: int) -> None:
        self._optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        self._scheduler = make_scheduler(self._optimizer, settings.changed(lr=1.0), steps_per_epoch)
        self._has_stepped = False

    @property
    def factor(self) -> float:
        """Factor applied to every learning rate in the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """Advance by one batch."""
        if not self._has_stepped:
            self._optimizer.step()  # torch warns if a schedule steps before its optimizer ever has
            self._has_stepped = True
        self._scheduler.step()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for `restore`."""
        return {"factor": self.factor, "scheduler": self._scheduler.state_dict()}

    def restore(self, values: dict[str, Any]) -> None:
        """Restore the state that `to_dict` returned."""
        self._optimizer.param_groups[0]["lr"] = values["factor"]
        self._scheduler.load_state_dict(values["scheduler"])
