"""Temperatures are those of the least log loss, and change no label; heads carry theirs to every answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from problems import backbone_file, head_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from headstart.errors import ModelError
from headstart.pipeline.features.predict_rows import predict_head
from headstart.pipeline.network.assembly import trained_head
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.temperature import (
    TENSOR,
    fit_factor,
    fit_temperature,
    probabilities_of,
    rescaled,
)
from headstart.pipeline.network.weights import initial_tensors
from headstart.versions.serving.predictor import Predictor

SPEC = NetworkSpec("vgg16", 4, "pooled", ("a", "b", "c"))


def drawn(count: int, classes: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from their softmax at a temperature."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (count, classes))
    shares = probabilities_of(torch.from_numpy(logits), temperature).numpy()
    labels = [int(random.choice(classes, p=row / row.sum())) for row in shares]
    return logits, np.array(labels)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_drew_the_labels_is_found(classes: int, temperature: float) -> None:
    assert fit_temperature(*drawn(4000, classes, temperature)) == pytest.approx(temperature, rel=0.1)


def test_it_is_the_least_loss_of_smoothed_labels() -> None:
    logits, labels = drawn(60, 3, 2.0)
    target = np.full((60, 3), 1 / 62 / 2)
    target[np.arange(60), labels] = 61 / 62

    def loss(temperature: float) -> float:
        return -float((target * log_softmax(logits / temperature, axis=1)).sum())

    least = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels) == pytest.approx(least.x, rel=1e-5)


def test_answers_that_are_all_right_make_no_certainty() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 3.0]] * 5)
    labels = np.array([0, 1, 0, 1] * 5)
    found = probabilities_of(torch.from_numpy(logits), fit_temperature(logits, labels)).numpy()
    assert 0.9 < found.max(1).mean() < 0.99


def test_logits_that_say_nothing_keep_their_temperature() -> None:
    assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 1.0


def test_a_head_that_is_always_wrong_stays_within_the_bounds() -> None:
    assert fit_temperature(np.array([[9.0, 0.0]] * 8), np.array([1] * 8)) == pytest.approx(100, rel=1e-6)


def test_a_factor_of_probabilities_is_the_temperature_of_their_logits() -> None:
    logits, labels = drawn(200, 4, 1.7)
    probabilities = probabilities_of(torch.from_numpy(logits), 1.0).numpy()
    temperature = fit_temperature(logits, labels)
    assert fit_factor(probabilities, labels) == pytest.approx(temperature, rel=1e-9)
    again = probabilities_of(torch.from_numpy(logits), temperature).numpy()
    assert rescaled(probabilities, temperature) == pytest.approx(again, abs=1e-12)


def test_no_temperature_changes_the_order_of_close_logits() -> None:
    logits = torch.tensor([[1.0, 1.0 + 2**-23], [-50.0, 50.0]])
    for temperature in (0.01, 1.0, 100.0):
        assert probabilities_of(logits, temperature).argmax(1).tolist() == [1, 1]


class Stored:
    """Features in memory, in the form that `predict_head` reads."""

    views = 1

    def __init__(self, values: torch.Tensor) -> None:
        self._values, self.row_shape = values, tuple(values.shape[1:])

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return self._values[start:stop]

    def viewed(self, start: int, views: np.ndarray) -> torch.Tensor:
        return self.rows(start, start + len(views))


def written(folder: Path, temperature: float | None) -> tuple[Path, Path]:
    """A head, with a temperature if one is given, and its backbone."""
    folder.mkdir()
    backbone = backbone_file(folder)
    network = plan(SPEC)
    tensors = initial_tensors([layer for layer in network.layers if layer.is_new], 0)
    own = {name: tensors[name] for name in network.head_names()}
    if temperature is not None:
        own[TENSOR] = torch.tensor(temperature, dtype=torch.float64)
    return head_file(folder / "head.safetensors", own, SPEC, backbone), backbone


def test_evaluation_and_serving_answer_at_the_temperature_of_the_file(tmp_path: Path) -> None:
    network = plan(SPEC)
    features = Stored(torch.randn(9, *network.feature_shape, generator=torch.Generator().manual_seed(0)))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    answers = {}
    for name, temperature in (("old", None), ("one", 1.0), ("half", 0.5)):
        files = written(tmp_path / name, temperature)
        evaluated = predict_head(trained_head(network, *files), features, range(9), 4)
        answers[name] = evaluated, Predictor.load(*files).predict_pixels(pixels)
    for door in (0, 1):
        old, one, half = (answers[name][door] for name in ("old", "one", "half"))
        assert np.array_equal(old, one)
        assert half == pytest.approx(rescaled(old, 0.5), abs=1e-12)
        assert not np.allclose(half, old)
        assert np.array_equal(half.argmax(1), old.argmax(1))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(tmp_path: Path, temperature: float) -> None:
    files = written(tmp_path / "bad", temperature)
    with pytest.raises(ModelError, match=r"temperature\.value in .*expected a positive number"):
        trained_head(plan(SPEC), *files)
