"""Trials trained side by side give the same results as each trained alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from problems import backbone_file, features_file, two_classes
from sections import section

from headstart.errors import ModelError
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network, NetworkSpec, plan
from headstart.pipeline.training.batched import can_batch
from headstart.pipeline.training.history import Epoch, best_epoch
from headstart.pipeline.training.one_head import Trained, train_head
from headstart.pipeline.training.resuming import Checkpoint
from headstart.pipeline.training.settings import Train, Trial
from headstart.pipeline.training.training_data import TrainingData
from headstart.pipeline.training.trials import Outcome, train_trials

Result = tuple[dict[str, torch.Tensor], list[Epoch], list[Outcome]]


def settings(**changes: object) -> Train:
    return section("train", **{"lr": 0.01, "epochs": 5, "batch_size": 16, "patience": 5, **changes})


def network(head: str = "mlp", **changes: object) -> Network:
    return plan(NetworkSpec("vgg16", 4, head, ("a", "b"), (16,), 0.3, **changes))


class Problem:
    def __init__(self, folder: Path, planned: Network, weights: torch.Tensor | None = None) -> None:
        self.data = TrainingData(planned, *two_classes(folder, planned.feature_shape[0]), weights)
        self.backbone = folder / "no backbone is read"

    def head(self) -> Chain:
        return starting_head(self.data.network, self.backbone, 0)

    def together(
        self, own: Train, trials: Sequence[Trial], state: Checkpoint | None = None, **more: object
    ) -> Result:
        checkpoint = (lambda first: state) if state else None
        return train_trials(self.data, self.head, own, trials, checkpoint=checkpoint, **more)

    def alone(self, own: Train, trial: Trial) -> Trained:
        head = self.head()
        for module in head.modules():
            if isinstance(module, torch.nn.Dropout) and trial.dropout is not None:
                module.p = trial.dropout
        return train_head(self.data, head, own.of_trial(trial))


@pytest.mark.parametrize("head", ["linear", "mlp", "pooled"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("extra", [{}, {"clip_norm": 0.5, "warmup_epochs": 1.0, "schedule": "constant"}])
def test_each_trial_is_what_it_is_alone(
    tmp_path: Path, head: str, optimizer: str, extra: dict[str, object]
) -> None:
    problem = Problem(tmp_path, network(head), torch.tensor([1.0, 2.0]))
    own = settings(optimizer=optimizer, **extra)
    small = 1e-3 if optimizer == "sgd" and head != "pooled" else 1  # the features are large
    tried = [
        Trial(lr=0.003 * small),
        Trial(lr=0.0005 * small, weight_decay=0.2),
        Trial(lr=0.002 * small, momentum=0.5, label_smoothing=0.1),
    ]
    tensors, history, outcomes = problem.together(own, tried)
    for trial, outcome in zip(tried, outcomes, strict=True):
        expected, epochs = problem.alone(own, trial)
        best = best_epoch(epochs)
        assert outcome.best is not None
        assert outcome.best.val_loss == pytest.approx(best.val_loss, rel=1e-3)
        assert outcome.epochs == len(epochs)
        if outcome.best.val_loss == best_epoch(history).val_loss:
            assert set(tensors) == set(expected)
            assert all(torch.allclose(tensors[n], expected[n], rtol=1e-3, atol=1e-4) for n in expected)
            assert [e.lr for e in history] == pytest.approx([e.lr for e in epochs])
            assert [e.train_loss for e in history] == pytest.approx([e.train_loss for e in epochs], rel=1e-3)


def test_dropout_of_its_own_trains_each_trial_with_it(tmp_path: Path) -> None:
    problem = Problem(tmp_path, network("mlp"))
    tried = [Trial(dropout=0.0), Trial(dropout=0.9)]
    _, _, outcomes = problem.together(settings(), tried)
    losses = [outcome.best.train_loss for outcome in outcomes if outcome.best]
    assert losses[1] > losses[0] * 1.05
    _, alone = problem.alone(settings(), tried[0])
    assert losses[0] == pytest.approx(best_epoch(alone).train_loss, rel=1e-2)


def test_the_same_trials_give_the_same_bits_and_may_be_killed(tmp_path: Path) -> None:
    problem = Problem(tmp_path, network("mlp"))
    tried = [Trial(lr=0.01, dropout=0.7), Trial(lr=0.001, dropout=0.2), Trial(lr=0.002, dropout=0.7)]
    straight = problem.together(settings(), tried)
    state = Checkpoint(tmp_path / "state.safetensors")
    seen = []

    def kill(epoch: Epoch) -> None:
        seen.append(epoch)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        problem.together(settings(), tried, state, on_epoch=kill)
    again = problem.together(settings(), tried, state)
    assert all(torch.equal(again[0][name], tensor) for name, tensor in straight[0].items())
    assert again[1:] == straight[1:]


def test_a_trial_that_diverges_stops_no_other(tmp_path: Path) -> None:
    problem = Problem(tmp_path, network("linear"))
    options = settings(optimizer="sgd")
    tried = [Trial(lr=1e30), Trial(lr=0.001)]
    _, _, outcomes = problem.together(options, tried)
    assert outcomes[0].best is None
    assert outcomes[1].best is not None
    assert outcomes[1].best.val_accuracy > 0.8
    with pytest.raises(ModelError, match="every trial diverged"):
        problem.together(options, tried[:1])


def test_patience_ends_a_trial_by_itself(tmp_path: Path) -> None:
    problem = Problem(tmp_path, network("pooled"))
    options = settings(epochs=12, patience=2, schedule="constant")
    tried = [Trial(lr=3.0), Trial(lr=0.0001)]
    _, _, outcomes = problem.together(options, tried)
    assert [o.epochs for o in outcomes] == [len(problem.alone(options, own)[1]) for own in tried]
    assert outcomes[0].epochs < outcomes[1].epochs == 12


def test_large_groups_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(tmp_path, network("mlp"))
    tried = [Trial(lr=rate) for rate in (0.001, 0.01, 0.02)]
    whole = problem.together(settings(), tried)
    monkeypatch.setattr("headstart.pipeline.training.trials.MOST_BYTES", 1)
    parts = problem.together(settings(), tried)
    losses = [[outcome.best.val_loss for outcome in found[2] if outcome.best] for found in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_convolutions_train_one_after_the_other(tmp_path: Path) -> None:
    planned = network("linear", train=("features.28",))
    assert not can_batch(planned)
    assert can_batch(network("linear", train=("classifier",)))
    random = torch.Generator().manual_seed(0)
    features = features_file(tmp_path, torch.randn(24, *planned.feature_shape, generator=random))
    labels = torch.arange(24) % 2
    backbone = backbone_file(tmp_path)
    tried = [Trial(lr=0.001, dropout=0.5), Trial(lr=0.01, dropout=0.1)]
    tensors, history, outcomes = train_trials(
        TrainingData(
            planned,
            features,
            LabelledRows(range(16), labels[:16]),
            LabelledRows(range(16, 24), labels[16:]),
        ),
        lambda: starting_head(planned, backbone, 0),
        settings(epochs=1),
        tried,
    )
    assert len(outcomes) == 2
    assert {name.rsplit(".", 1)[0] for name in tensors} == {"features.28", "classifier.6"}
    assert best_epoch(history).val_loss == min(o.best.val_loss for o in outcomes if o.best)
