"""Training the head on stored features."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from problems import backbone_file, head_file, two_classes
from sections import section

from headstart.errors import ModelError
from headstart.ground import runtime
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import starting_head, trained_head
from headstart.pipeline.network.checkpoint import digest
from headstart.pipeline.network.network import Network, NetworkSpec, plan
from headstart.pipeline.training.history import Epoch, best_epoch
from headstart.pipeline.training.one_head import Trained, train_head
from headstart.pipeline.training.resuming import Checkpoint
from headstart.pipeline.training.settings import Train
from headstart.pipeline.training.training_data import TrainingData


def settings(**changes: object) -> Train:
    return section("train", **{"lr": 0.01, "epochs": 6, "batch_size": 16, "patience": 6, **changes})


def network(head: str = "pooled", width: int = 4) -> Network:
    return plan(NetworkSpec("vgg16", width, head, ("a", "b")))


def problem(folder: Path, head: str = "pooled") -> TrainingData:
    planned = network(head)
    return TrainingData(planned, *two_classes(folder, planned.feature_shape[0]))


def train(folder: Path, own: Train, head: str = "pooled") -> Trained:
    data = problem(folder, head)
    return train_head(data, starting_head(data.network, folder / "no backbone is read", own.seed), own)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant"])
def test_it_learns(tmp_path: Path, optimizer: str, schedule: str) -> None:
    _, history = train(tmp_path, settings(optimizer=optimizer, schedule=schedule, epochs=15))
    assert history[-1].val_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss
    rates = [epoch.lr for epoch in history]
    assert rates[-1] == rates[0] if schedule == "constant" else rates[-1] < 0.1 * max(rates)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path: Path) -> None:
    first, second, other = (checkpoint.digest(train(tmp_path, settings(seed=s))[0]) for s in (0, 0, 1))
    assert first == second != other


def test_rows_that_stay_on_the_device_give_the_same_bits(tmp_path: Path) -> None:
    data = problem(tmp_path)
    start = starting_head(data.network, tmp_path / "no backbone is read", 0)
    moved = replace(data, rows=data.rows.move_to(runtime.device()))
    tensors, _ = train_head(moved, start, settings())
    assert checkpoint.digest(tensors) == checkpoint.digest(train(tmp_path, settings())[0])


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    tensors, history = train(tmp_path, settings(lr=5.0, epochs=10, patience=10, schedule="constant"))
    best = best_epoch(history)
    assert best.val_loss == min(epoch.val_loss for epoch in history)
    assert best.epoch < 10
    again, _ = train(tmp_path, settings(lr=5.0, epochs=best.epoch, patience=10, schedule="constant"))
    assert checkpoint.digest(tensors) == checkpoint.digest(again)


def test_training_stops_when_patience_ends(tmp_path: Path) -> None:
    _, history = train(tmp_path, settings(lr=3.0, epochs=50, patience=3, schedule="constant"))
    assert len(history) == best_epoch(history).epoch + 3


def test_standardisation_is_that_of_the_training_rows(tmp_path: Path) -> None:
    tensors, _ = train(tmp_path, settings(epochs=1))
    features, rows, _ = two_classes(tmp_path, network().feature_shape[0])
    seen = features.rows(rows.indices.start, rows.indices.stop).double()
    assert torch.allclose(tensors["classifier.0.mean"].double(), seen.mean(0), rtol=1e-5)
    deviation = seen.std(0, correction=0)
    varies = deviation > 0
    assert torch.allclose(tensors["classifier.0.scale"].double()[varies], 1 / deviation[varies], rtol=1e-5)
    assert not varies[5]
    assert tensors["classifier.0.scale"][5] == 1


def test_frozen_tensors_are_bit_equal_after_training(tmp_path: Path) -> None:
    """Layers frozen after the cut: the first linear layer learns, the second stays."""
    backbone = backbone_file(tmp_path)
    spec = NetworkSpec("vgg16", 4, "linear", ("a", "b"), train=("classifier.0",))
    planned = plan(spec)
    assert planned.cut_name == "flatten"
    data = TrainingData(planned, *two_classes(tmp_path, planned.feature_shape[0]))
    head = starting_head(planned, backbone, 0)
    before = {name: tensor.clone() for name, tensor in head.tensors().items()}
    tensors, _ = train_head(data, head, settings(epochs=2))
    after = head.tensors()
    frozen = ["classifier.3.weight", "classifier.3.bias"]
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    assert not any(name in tensors for name in frozen)
    assert not torch.equal(after["classifier.0.weight"], before["classifier.0.weight"])
    loaded = trained_head(planned, head_file(tmp_path / "head", tensors, spec, backbone), backbone)
    assert torch.equal(loaded.tensors()["classifier.3.weight"], before["classifier.3.weight"])


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lower train\.lr"):
        train(tmp_path, settings(optimizer="sgd", lr=1e30), head="linear")


class Killed(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant"])
@pytest.mark.parametrize("head", ["linear", "pooled"])
def test_a_killed_training_ends_with_the_same_bits(
    tmp_path: Path, optimizer: str, schedule: str, head: str
) -> None:
    warmup = 0.0 if schedule == "one_cycle" else 1.5
    own = settings(optimizer=optimizer, schedule=schedule, epochs=6, warmup_epochs=warmup)
    data = problem(tmp_path, head)

    def go(checkpoint: Checkpoint | None, kill_after: int | None = None) -> tuple[str, list[Epoch]]:
        start = starting_head(data.network, tmp_path / "no backbone is read", own.seed)
        seen: list[Epoch] = []

        def show(epoch: Epoch) -> None:
            seen.append(epoch)
            if epoch.epoch == kill_after:
                raise Killed

        result = train_head(data, start, own, show, checkpoint=checkpoint)
        assert seen == result[1]
        return digest(result[0]), result[1]

    straight = go(None)
    state = Checkpoint(tmp_path / "state" / "key.safetensors")
    for epoch in (2, 4):
        with pytest.raises(Killed):
            go(state, kill_after=epoch)
    assert go(state) == straight
    state.clear()
    assert state.load() is None


def test_a_damaged_checkpoint_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"half a fi")
    assert Checkpoint(path).load() is None


def test_class_weights_change_what_is_learnt(tmp_path: Path) -> None:
    """With indistinguishable labels, the class with the larger weight is predicted more often."""
    data = problem(tmp_path)
    drawn = LabelledRows(data.train.indices, data.train.labels.roll(1))
    shares = []
    for weights in (torch.tensor([1.0, 1.0]), torch.tensor([1.0, 100.0])):
        start = starting_head(data.network, tmp_path / "none", 0)
        train_head(replace(data, train=drawn, class_weights=weights), start, settings(epochs=3))
        with torch.inference_mode():
            shares.append(start.eval()(data.rows.rows(0, 300)).argmax(1).float().mean().item())
    assert shares[1] > shares[0] + 0.3, shares


def test_clipping_holds_the_steps_small(tmp_path: Path) -> None:
    moved = []
    for clip in (None, 1e-4):
        data = problem(tmp_path, "linear")
        start = starting_head(data.network, tmp_path / "none", 0)
        before = {name: t.clone() for name, t in start.tensors().items()}
        own = settings(optimizer="sgd", momentum=0.0, weight_decay=0.0, epochs=1, clip_norm=clip, lr=0.01)
        train_head(data, start, own)
        moved.append(max(float((t - before[n]).detach().norm()) for n, t in start.tensors().items()))
    steps = math.ceil(300 / 16)
    assert moved[1] <= 1e-4 * 0.01 * steps * 1.01 < moved[0]


def test_warm_up_rises_to_the_learning_rate(tmp_path: Path) -> None:
    _, history = train(tmp_path, settings(epochs=6, warmup_epochs=3, schedule="constant", lr=0.02))
    rates = [epoch.lr for epoch in history]
    assert rates == sorted(rates)
    assert rates[0] < 0.002
    assert rates[3:] == [pytest.approx(0.02)] * 3


def test_mixed_precision_learns(tmp_path: Path) -> None:
    _, history = train(tmp_path, settings(precision="bf16", epochs=10))
    assert history[-1].val_accuracy > 0.9
