"""Batch norms after the cut: a last batch of one row does not stop training, alone or in a sweep."""

from pathlib import Path

import pytest
from problems import two_classes
from sections import section

from headstart.cli.network_params import check_network
from headstart.errors import ModelError
from headstart.ground.paths import PARAMS
from headstart.params import load_params
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.network import Network, NetworkSpec, plan
from headstart.pipeline.training.one_head import train_head
from headstart.pipeline.training.settings import Trial
from headstart.pipeline.training.training_data import TrainingData
from headstart.pipeline.training.trials import train_trials

NORM = {"classifier": ["batchnorm", "linear"]}


def normed(replace: dict[str, object] = NORM) -> Network:
    return plan(NetworkSpec("vgg16", 4, "pooled", ("a", "b"), replace=replace))


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """33 training rows: one is left in the second batch of 32."""
    network = normed()
    return TrainingData(network, *two_classes(tmp_path, network.feature_shape[0], 66))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_one_row_in_the_last_batch(data: TrainingData, tmp_path: Path, schedule: str) -> None:
    own = section("train", batch_size=32, epochs=4, schedule=schedule)
    _, history = train_head(data, starting_head(data.network, tmp_path, 0), own)
    assert len(history) == 4
    assert history[-1].train_loss < history[0].train_loss


def test_one_row_in_the_last_batch_of_a_sweep(data: TrainingData, tmp_path: Path) -> None:
    own = section("train", batch_size=32, epochs=2)
    trials = [Trial(lr=0.01), Trial(lr=0.001)]
    _, _, outcomes = train_trials(data, lambda: starting_head(data.network, tmp_path, 0), own, trials)
    assert [outcome.epochs for outcome in outcomes] == [2, 2]


def test_networks_without_batch_norm_keep_their_last_row() -> None:
    assert normed().least_rows == 2
    assert normed({"classifier": ["linear"]}).least_rows == 1
    assert plan(NetworkSpec("vgg16_bn", 4, "linear", ("a", "b"))).least_rows == 1  # frozen


def test_a_batch_size_of_one_is_refused_before_any_work(tree: Path) -> None:
    params = load_params(tree / PARAMS)
    normed = params.model.changed(head="pooled", replace=NORM)
    single = params.model_copy(update={"model": normed, "train": params.train.changed(batch_size=1)})
    with pytest.raises(ModelError, match=r"train.batch_size: 1 cannot train classifier.0 .BatchNorm1d"):
        check_network(single, tree / "data")
    check_network(single.model_copy(update={"train": params.train}), tree / "data")
    check_network(single.model_copy(update={"model": params.model}), tree / "data")
