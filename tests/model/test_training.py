"""Training the head on stored features."""

import math
from pathlib import Path

import pytest
import torch

from headstart import runtime
from headstart.errors import ModelError
from headstart.model import checkpoint, training
from headstart.model.assembly import starting_head, trained_head
from headstart.model.examples import LabelledRows
from headstart.model.feature_file import Features
from headstart.model.network import Network, NetworkSpec, plan
from headstart.model.training import Epoch, TrainOptions, best_epoch, shuffled, train_head
from headstart.model.vgg import vgg_layers
from headstart.model.weights import random_tensors

OPTIONS = TrainOptions("adamw", 0.01, 0.9, 0.01, "cosine", 6, 16, 6, 0)


def options(**changes: object) -> TrainOptions:
    return TrainOptions(**{**OPTIONS.__dict__, **changes})


def features_file(folder: Path, rows: torch.Tensor) -> Features:
    path = folder / "features.safetensors"
    checkpoint.save(path, {"features": rows}, {})
    return Features(path)


def problem(folder: Path, channels: int, count: int = 600) -> tuple[Features, LabelledRows, LabelledRows]:
    """Two classes that differ in a few channels, far from standardised."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (count,), generator=random)
    rows = torch.randn(count, channels, generator=random) * 30 + 100
    rows[:, :3] += labels[:, None] * 90
    rows[:, 5] = 7
    half = count // 2
    train, val = LabelledRows(range(half), labels[:half]), LabelledRows(range(half, count), labels[half:])
    return features_file(folder, rows), train, val


def network(head: str = "pooled", width: int = 4) -> Network:
    return plan(NetworkSpec("vgg16", width, head, ("a", "b")))


def train(
    folder: Path, opts: TrainOptions, head: str = "pooled"
) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
    planned = network(head)
    features, train_rows, val_rows = problem(folder, planned.feature_shape[0])
    start = starting_head(planned, folder / "no backbone is read", opts.seed)
    return train_head(planned, start, features, train_rows, val_rows, opts)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_it_learns(tmp_path: Path, optimizer: str, schedule: str) -> None:
    _, history = train(tmp_path, options(optimizer=optimizer, schedule=schedule, epochs=15))
    assert history[-1].val_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss
    last = history[-1].lr / history[0].lr
    assert last == 1 if schedule == "constant" else last < 0.1


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path: Path) -> None:
    first, second, other = (checkpoint.digest(train(tmp_path, options(seed=s))[0]) for s in (0, 0, 1))
    assert first == second != other


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    tensors, history = train(tmp_path, options(lr=5.0, epochs=10, patience=10, schedule="constant"))
    best = best_epoch(history)
    assert best.val_loss == min(epoch.val_loss for epoch in history)
    assert best.epoch < 10
    again, _ = train(tmp_path, options(lr=5.0, epochs=best.epoch, patience=10, schedule="constant"))
    assert checkpoint.digest(tensors) == checkpoint.digest(again)


def test_training_stops_when_patience_ends(tmp_path: Path) -> None:
    _, history = train(tmp_path, options(lr=3.0, epochs=50, patience=3, schedule="constant"))
    assert len(history) == best_epoch(history).epoch + 3


def test_standardisation_is_that_of_the_training_rows(tmp_path: Path) -> None:
    tensors, _ = train(tmp_path, options(epochs=1))
    features, rows, _ = problem(tmp_path, network().feature_shape[0])
    seen = features.rows(rows.indices.start, rows.indices.stop).double()
    assert torch.allclose(tensors["classifier.0.mean"].double(), seen.mean(0), rtol=1e-5)
    deviation = seen.std(0, correction=0)
    varies = deviation > 0
    assert torch.allclose(tensors["classifier.0.scale"].double()[varies], 1 / deviation[varies], rtol=1e-5)
    assert not varies[5]
    assert tensors["classifier.0.scale"][5] == 1


def test_frozen_tensors_are_bit_equal_after_training(tmp_path: Path) -> None:
    """Layers frozen after the cut: the first linear layer learns, the second stays."""
    weights = dict(random_tensors(vgg_layers("vgg16", 4), 0))
    checkpoint.save(tmp_path / "backbone", weights, {})
    planned = plan(NetworkSpec("vgg16", 4, "linear", ("a", "b"), train=("classifier.0",)))
    assert planned.cut_name == "flatten"
    features, train_rows, val_rows = problem(tmp_path, planned.feature_shape[0])
    head = starting_head(planned, tmp_path / "backbone", 0)
    before = {name: tensor.clone() for name, tensor in head.tensors().items()}
    tensors, _ = train_head(planned, head, features, train_rows, val_rows, options(epochs=2))
    after = head.tensors()
    frozen = ["classifier.3.weight", "classifier.3.bias"]
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    assert not any(name in tensors for name in frozen)
    assert not torch.equal(after["classifier.0.weight"], before["classifier.0.weight"])
    checkpoint.save(tmp_path / "head", tensors, {})
    loaded = trained_head(planned, tmp_path / "head", tmp_path / "backbone")
    assert torch.equal(loaded.tensors()["classifier.3.weight"], weights["classifier.3.weight"])


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lower train\.lr"):
        train(tmp_path, options(optimizer="sgd", lr=1e30), head="linear")


@pytest.mark.parametrize("window", [1, 64 * 4 * 8 * 3, 2**30])
@pytest.mark.parametrize("count", [5, 64, 300])
def test_every_row_comes_once_an_epoch_with_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, count: int
) -> None:
    monkeypatch.setattr(training, "WINDOW_BYTES", window)
    features = features_file(tmp_path, torch.arange(float(count + 10))[:, None].expand(-1, 8).contiguous())
    rows = LabelledRows(range(7, 7 + count), torch.arange(7, 7 + count))
    order = runtime.generator(0)
    epochs = [list(shuffled(features, rows, 16, order)) for _ in range(2)]
    for batches in epochs:
        assert [len(data) for data, _ in batches[:-1]] == [16] * (len(batches) - 1)
        assert len(batches) == math.ceil(count / 16)
        data = torch.cat([data[:, 0] for data, _ in batches])
        labels = torch.cat([labels for _, labels in batches])
        assert torch.equal(data.long(), labels)
        assert torch.equal(labels.sort().values, rows.labels)
    seen = [torch.cat([labels for _, labels in batches]) for batches in epochs]
    assert not torch.equal(seen[0], seen[1])
