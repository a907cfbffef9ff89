"""Many heads updated at once take the same steps as torch's own optimizers take for each head alone."""

import pytest
import torch
from sections import section

from headstart.pipeline.training.batched_optimizer import BatchedOptimizer
from headstart.pipeline.training.settings import Train

SHAPES = {"weight": (3, 5), "bias": (3,)}
STEPS = 20
HEADS = (
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0},
    {"lr": 0.003, "momentum": 0.0, "weight_decay": 0.3},
    {"lr": 1.0, "momentum": 0.5, "weight_decay": 0.01},
)


def torch_optimizer(own: Train, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    if own.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=own.lr, weight_decay=own.weight_decay)
    return torch.optim.SGD(
        parameters, own.lr, own.momentum, nesterov=own.momentum > 0, weight_decay=own.weight_decay
    )


def drawn(seed: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(len(HEADS), *shape, generator=random) for name, shape in SHAPES.items()}


def alone(own: Train, head: int, steps: int) -> dict[str, torch.Tensor]:
    """The weights of one head after `steps` steps of torch's optimizer."""
    weights = {name: t[head].clone().requires_grad_() for name, t in drawn(0).items()}
    optimizer = torch_optimizer(own, list(weights.values()))
    for step in range(1, steps + 1):
        for name, gradient in drawn(step).items():
            weights[name].grad = gradient[head].clone()
        if own.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(weights.values(), own.clip_norm)
        optimizer.step()
    return weights


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_every_head_takes_the_steps_of_torchs_optimizer(name: str, clip_norm: float | None) -> None:
    settings = [section("train", optimizer=name, clip_norm=clip_norm, **own) for own in HEADS]
    weights = drawn(0)
    optimizer = BatchedOptimizer(weights, settings)
    for step in range(1, STEPS + 1):
        optimizer.step(drawn(step))
    for head, own in enumerate(settings):
        for key, expected in alone(own, head, STEPS).items():
            torch.testing.assert_close(weights[key][head], expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_factor_scales_the_learning_rate(name: str) -> None:
    settings = [section("train", optimizer=name, **own) for own in HEADS]
    weights = drawn(0)
    BatchedOptimizer(weights, settings).step(drawn(1), factor=0.1)
    for head, own in enumerate(settings):
        for key, expected in alone(own.changed(lr=own.lr * 0.1), head, 1).items():
            torch.testing.assert_close(weights[key][head], expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_rate_of_zero_changes_nothing(name: str) -> None:
    weights = drawn(0)
    BatchedOptimizer(weights, [section("train", optimizer=name, **own) for own in HEADS]).step(drawn(1), 0.0)
    assert all(torch.equal(weights[key], before) for key, before in drawn(0).items())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_restored_optimizer_takes_the_same_steps(name: str) -> None:
    settings = [section("train", optimizer=name, **own) for own in HEADS]
    weights = drawn(0)
    first = BatchedOptimizer(weights, settings)
    first.step(drawn(1))
    copied = {key: t.clone() for key, t in weights.items()}
    second = BatchedOptimizer(copied, settings)
    second.restore({group: dict(own) for group, own in first.tensors().items()}, first.to_dict())
    for optimizer in (first, second):
        optimizer.step(drawn(2))
    assert all(torch.equal(copied[key], weights[key]) for key in weights)
