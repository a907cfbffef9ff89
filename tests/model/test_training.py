"""Training the head on stored features."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import features_file, two_classes
from sklearn.utils.class_weight import compute_class_weight

from headstart import runtime
from headstart.errors import ModelError, ParamsError
from headstart.model import checkpoint, training
from headstart.model.assembly import starting_head, trained_head
from headstart.model.checkpoint import digest
from headstart.model.examples import LabelledRows, class_weights
from headstart.model.feature_file import Features, Views, batches
from headstart.model.network import Network, NetworkSpec, plan
from headstart.model.resuming import Checkpoint
from headstart.model.training import Epoch, TrainOptions, best_epoch, shuffled, train_head
from headstart.model.vgg import vgg_layers
from headstart.model.weights import random_tensors

OPTIONS = TrainOptions("adamw", 0.01, 0.9, 0.01, "cosine", 6, 16, 6, 0)


def options(**changes: object) -> TrainOptions:
    return TrainOptions(**{**OPTIONS.__dict__, **changes})


def network(head: str = "pooled", width: int = 4) -> Network:
    return plan(NetworkSpec("vgg16", width, head, ("a", "b")))


def train(
    folder: Path, opts: TrainOptions, head: str = "pooled"
) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
    planned = network(head)
    features, train_rows, val_rows = two_classes(folder, planned.feature_shape[0])
    start = starting_head(planned, folder / "no backbone is read", opts.seed)
    return train_head(planned, start, features, train_rows, val_rows, opts)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant"])
def test_it_learns(tmp_path: Path, optimizer: str, schedule: str) -> None:
    _, history = train(tmp_path, options(optimizer=optimizer, schedule=schedule, epochs=15))
    assert history[-1].val_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss
    rates = [epoch.lr for epoch in history]
    assert rates[-1] == rates[0] if schedule == "constant" else rates[-1] < 0.1 * max(rates)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path: Path) -> None:
    first, second, other = (checkpoint.digest(train(tmp_path, options(seed=s))[0]) for s in (0, 0, 1))
    assert first == second != other


def test_rows_that_stay_on_the_device_give_the_same_bits(tmp_path: Path) -> None:
    planned = network()
    features, train_rows, val_rows = two_classes(tmp_path, planned.feature_shape[0])
    start = starting_head(planned, tmp_path / "no backbone is read", 0)
    moved = features.move_to(runtime.device())
    tensors, _ = train_head(planned, start, moved, train_rows, val_rows, OPTIONS)
    assert checkpoint.digest(tensors) == checkpoint.digest(train(tmp_path, OPTIONS)[0])


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
    weights = dict(random_tensors(vgg_layers("vgg16", 4), 0))
    checkpoint.save(tmp_path / "backbone", weights, {})
    planned = plan(NetworkSpec("vgg16", 4, "linear", ("a", "b"), train=("classifier.0",)))
    assert planned.cut_name == "flatten"
    features, train_rows, val_rows = two_classes(tmp_path, planned.feature_shape[0])
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
    for drawn in epochs:
        assert [len(data) for data, _ in drawn[:-1]] == [16] * (len(drawn) - 1)
        assert len(drawn) == math.ceil(count / 16)
        data = torch.cat([data[:, 0] for data, _ in drawn])
        labels = torch.cat([labels for _, labels in drawn])
        assert torch.equal(data.long(), labels)
        assert torch.equal(labels.sort().values, rows.labels)
    seen = [torch.cat([labels for _, labels in drawn]) for drawn in epochs]
    assert not torch.equal(seen[0], seen[1])


class Killed(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant"])
@pytest.mark.parametrize("head", ["linear", "pooled"])
def test_a_killed_training_ends_with_the_same_bits(
    tmp_path: Path, optimizer: str, schedule: str, head: str
) -> None:
    warmup = 0.0 if schedule == "one_cycle" else 1.5
    opts = options(optimizer=optimizer, schedule=schedule, epochs=6, warmup_epochs=warmup)
    planned = network(head)
    features, train_rows, val_rows = two_classes(tmp_path, planned.feature_shape[0])

    def go(checkpoint: Checkpoint | None, kill_after: int | None = None) -> tuple[str, list[Epoch]]:
        start = starting_head(planned, tmp_path / "no backbone is read", opts.seed)
        seen: list[Epoch] = []

        def show(epoch: Epoch) -> None:
            seen.append(epoch)
            if epoch.epoch == kill_after:
                raise Killed

        result = train_head(planned, start, features, train_rows, val_rows, opts, show, checkpoint=checkpoint)
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
    """Labels that nothing tells apart: what counts more is said more."""
    planned = network()
    features, train_rows, val_rows = two_classes(tmp_path, planned.feature_shape[0])
    drawn = LabelledRows(train_rows.indices, train_rows.labels.roll(1))
    said = []
    for weights in (torch.tensor([1.0, 1.0]), torch.tensor([1.0, 100.0])):
        start = starting_head(planned, tmp_path / "none", 0)
        train_head(planned, start, features, drawn, val_rows, options(epochs=3), class_weights=weights)
        with torch.inference_mode():
            said.append(start.eval()(features.rows(0, 300)).argmax(1).float().mean().item())
    assert said[1] > said[0] + 0.3, said


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = torch.tensor([0] * 30 + [1] * 10 + [2] * 5)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    found = class_weights("balanced", ("a", "b", "c"), labels)
    assert found is not None
    assert np.allclose(found.numpy(), expected)
    assert class_weights(None, ("a", "b", "c"), labels) is None
    some = class_weights({"b": 3.0}, ("a", "b", "c"), labels)
    assert some is not None
    assert some.tolist() == [1, 3, 1]
    with pytest.raises(ParamsError, match=r"there is no class 'bb'; did you mean b"):
        class_weights({"bb": 1.0}, ("a", "b", "c"), labels)


def test_clipping_holds_the_steps_small(tmp_path: Path) -> None:
    moved = []
    for clip in (None, 1e-4):
        planned = network("linear")
        features, train_rows, val_rows = two_classes(tmp_path, planned.feature_shape[0])
        start = starting_head(planned, tmp_path / "none", 0)
        before = {name: t.clone() for name, t in start.tensors().items()}
        opts = options(optimizer="sgd", momentum=0.0, weight_decay=0.0, epochs=1, clip_norm=clip, lr=0.01)
        train_head(planned, start, features, train_rows, val_rows, opts)
        moved.append(max(float((t - before[n]).detach().norm()) for n, t in start.tensors().items()))
    steps = math.ceil(300 / 16)
    assert moved[1] <= 1e-4 * 0.01 * steps * 1.01 < moved[0]


def test_warm_up_rises_to_the_learning_rate(tmp_path: Path) -> None:
    _, history = train(tmp_path, options(epochs=6, warmup_epochs=3, schedule="constant", lr=0.02))
    rates = [epoch.lr for epoch in history]
    assert rates == sorted(rates)
    assert rates[0] < 0.002
    assert rates[3:] == [pytest.approx(0.02)] * 3


def test_mixed_precision_learns(tmp_path: Path) -> None:
    _, history = train(tmp_path, options(precision="bf16", epochs=10))
    assert history[-1].val_accuracy > 0.9


def test_views_are_drawn_anew_each_epoch(tmp_path: Path) -> None:
    """Row r in view v holds the number 100 v + r."""
    place = Views(count=3, first=10, rows=80, offset=100, seed=0)
    rows = torch.cat([torch.arange(100.0), 100 + torch.arange(10.0, 90.0), 200 + torch.arange(10.0, 90.0)])
    checkpoint.save(tmp_path / "f", {"features": rows[:, None]}, {"views": place.to_dict()})
    features = Features(tmp_path / "f")
    assert features.views == 3
    split = LabelledRows(range(10, 90), torch.arange(10, 90))
    order = runtime.generator(0)
    epochs = []
    for _ in range(30):
        drawn = list(shuffled(features, split, 16, order))
        data, labels = torch.cat([d[:, 0] for d, _ in drawn]).long(), torch.cat([n for _, n in drawn])
        assert torch.equal(data % 100, labels)
        epochs.append(data[labels.argsort()] // 100)
    shares = torch.bincount(torch.cat(epochs), minlength=3) / (30 * 80)
    assert (shares - 1 / 3).abs().max() < 0.05
    assert not torch.equal(epochs[0], epochs[1])
    assert [part.tolist() for _, part in batches(features, range(88, 92), 2)] == [[[88], [89]], [[90], [91]]]
