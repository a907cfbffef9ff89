"""An int8 file: which layers it holds, what it is calibrated on, and when it is refused."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import onnx
import pandas as pd
import pytest
from predictors import NETWORKS, predictor_of

from headstart.errors import LineageError, ModelError
from headstart.versions.export import calibration, int8, onnx_file
from headstart.versions.export.description import describe
from headstart.versions.export.int8_check import Expected, judge
from headstart.versions.export.program import program_of
from headstart.versions.export.speed import side_by_side
from headstart.versions.registry.record import Record
from headstart.versions.release.settings import Gate

PIXELS = np.random.default_rng(2).integers(0, 256, (6, 224, 224, 3), np.uint8)
GATE = Gate(min_images=50)


def quantized(name: str, folder: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, Path]:
    """Answers of a network in float32 and in int8 calibrated on `pixels`, and the int8 file."""
    predictor = predictor_of(**NETWORKS[name])
    logits = predictor.head(predictor.features(PIXELS))
    predictor.head.temperature = float(logits.abs().max())  # sure answers would hide a difference
    whole, path = folder / "fp32.onnx", folder / "int8.onnx"
    description = describe(predictor, "models:/m/1", "r") | {"precision": '"int8"'}
    onnx_file.write(program_of(predictor), description, whole)
    int8.quantize(whole, iter([pixels[:4], pixels[4:]]), description, path)
    return onnx_file.open_session(whole)(PIXELS), onnx_file.open_session(path)(PIXELS), path


@pytest.mark.parametrize("name", NETWORKS)
def test_all_layers_but_the_last_are_in_int8(name: str, tmp_path: Path) -> None:
    expected, found, path = quantized(name, tmp_path, PIXELS)
    assert np.abs(found - expected).max() < 0.1
    graph = onnx.load(path).graph
    made_by = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type in int8.LAYERS]
    weights = [made_by.get(node.input[1]) for node in layers]
    assert [node is not None and node.op_type == "DequantizeLinear" for node in weights] == [
        *[True] * (len(layers) - 1),
        False,
    ]
    whole = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in filter(None, weights):
        values, scales = (whole[key] for key in node.input[:2])
        assert values.dtype == np.int8
        assert -64 <= values.min() < values.max() <= 64
        assert scales.shape == values.shape[:1]
    [pixels], [probabilities] = graph.input, graph.output
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert pixels.type.tensor_type.shape.dim[0].dim_param == "N"
    assert probabilities.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    described = {item.key: json.loads(item.value) for item in onnx.load(path).metadata_props}
    assert described["precision"] == "int8"
    assert int8.PREPARED not in described


def test_the_ranges_are_those_of_the_calibration(tmp_path: Path) -> None:
    _, good, _ = quantized("pooled", tmp_path, PIXELS)
    expected, poor, _ = quantized("pooled", tmp_path, np.full_like(PIXELS, 124))
    assert np.abs(poor - expected).max() > 3 * np.abs(good - expected).max()


def record_of(folder: Path, splits: list[str], pixels: list[str]) -> Record:
    names = [f"{index}.png" for index in range(len(splits))]
    table = pd.DataFrame({"path": names, "pixels": pixels, "split": splits, "excluded": ""})
    table.to_parquet(folder / "manifest.parquet")
    return cast(Record, SimpleNamespace(name="models:/m/1", file=lambda name: folder / name))


def test_the_draw_is_of_training_images_and_depends_on_pixels_and_seed_alone(tmp_path: Path) -> None:
    splits, pixels = ["train"] * 40 + ["val", "test"] * 10, [f"{index:064x}" for index in range(60)]
    record = record_of(tmp_path, splits, pixels)
    names, drawn = calibration.draw(record, 16, "minmax")
    assert {splits[int(Path(name).stem)] for name in names} == {"train"}
    assert (len(names), len(set(names)), drawn.images) == (16, 16, 16)
    (tmp_path / "turned").mkdir()
    turned = record_of(tmp_path / "turned", splits[::-1], pixels[::-1])
    assert calibration.draw(turned, 16, "minmax")[1] == drawn
    assert calibration.draw(record, 16, "minmax", seed=1)[1].digest != drawn.digest
    assert calibration.draw(record, 128, "minmax")[1].images == 40
    (tmp_path / "none").mkdir()
    with pytest.raises(LineageError, match="names no training image"):
        calibration.draw(record_of(tmp_path / "none", ["test"], pixels[:1]), 16, "minmax")


def answers(right: int, images: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Labels (half each of two classes), and probabilities that give the true class to the first `right`."""
    truth = np.arange(images) % 2
    label = np.where(np.arange(images) < right, truth, 1 - truth)
    return truth, np.where(label[:, None] == [0, 1], 0.9, 0.1)


def expected_of(right: int, images: int = 100, groups: list[str] | None = None) -> Expected:
    truth, found = answers(right, images)
    names = np.array(["a", "b"])
    table = pd.DataFrame({"label": names[truth], "predicted": names[found.argmax(1)]})
    return Expected(table.assign(**{"probability:a": found[:, 0], "probability:b": found[:, 1]}), groups)


def test_the_change_has_the_gates_paired_interval() -> None:
    same = judge(answers(90)[1], expected_of(90), ("a", "b"), GATE, "models:/m/1")
    z = 1.6448536  # of 90 %; if no label differs, Tango's ends are z^2 / (n + z^2) away from 0
    assert (same.change, same.same_labels, same.probability_gap) == (0.0, 1.0, 0.0)
    assert same.low == pytest.approx(-(z**2) / (100 + z**2), abs=1e-6)
    assert same.high == pytest.approx(z**2 / (100 + z**2), abs=1e-6)
    less = judge(answers(89)[1], expected_of(90), ("a", "b"), GATE, "models:/m/1")
    assert (less.images, less.recorded_accuracy, less.accuracy) == (100, 0.9, 0.89)
    assert less.change == pytest.approx(-0.01)
    assert (less.same_labels, less.probability_gap) == (0.99, pytest.approx(0.8))
    assert -GATE.margin < less.low < same.low


def test_worse_than_the_margin_or_perhaps_so_is_refused() -> None:
    with pytest.raises(ModelError, match=r"10\.0 points worse .*required: the whole interval above 5 points"):
        judge(answers(80)[1], expected_of(90), ("a", "b"), GATE, "models:/m/1")
    with pytest.raises(ModelError, match=r"3\.0 points worse"):  # its interval goes below
        judge(answers(87)[1], expected_of(90), ("a", "b"), GATE, "models:/m/1")
    judge(answers(87)[1], expected_of(90), ("a", "b"), GATE.changed(margin=0.1), "models:/m/1")
    alike = [str(index // 10) for index in range(100)]  # ten images of each of ten things: a wider interval
    gate = GATE.changed(margin=0.07)
    judge(answers(88)[1], expected_of(90), ("a", "b"), gate, "models:/m/1")
    with pytest.raises(ModelError, match="2.0 points worse"):
        judge(answers(88)[1], expected_of(90, groups=alike), ("a", "b"), gate, "models:/m/1")


def test_a_class_that_is_lost_is_refused_within_the_margin() -> None:
    truth, found = answers(100)
    found[truth.nonzero()[0][:10]] = [0.9, 0.1]
    gate = GATE.changed(margin=0.3)
    with pytest.raises(ModelError, match="worst class: b: 20.0 points worse"):
        judge(found, expected_of(100), ("a", "b"), gate, "models:/m/1")


def test_classes_with_too_few_images_are_named_and_refused_if_all_are() -> None:
    expected = expected_of(100)
    rare = expected.table["label"].where(expected.table.index >= 4, "b")  # 48 of a, 52 of b
    one = Expected(expected.table.assign(label=rare, predicted=rare), None)
    found = np.where((rare == "b").to_numpy()[:, None] == [False, True], 0.9, 0.1)
    passed = judge(found, one, ("a", "b"), GATE.changed(min_class_images=50), "models:/m/1")
    assert "too few images to judge a (48)" in passed.sentence()
    with pytest.raises(
        ModelError, match=r"worst class: no class has 60 images; too few .* a \(48\), b \(52\)"
    ):
        judge(found, one, ("a", "b"), GATE.changed(min_class_images=60), "models:/m/1")


def test_two_files_are_timed_in_turns() -> None:
    asked: list[str] = []

    def run(name: str, work: int) -> np.ndarray:
        asked.append(name)
        return np.array([sum(range(work))])

    slow, fast = side_by_side(lambda _: run("slow", 400_000), lambda _: run("fast", 4_000), PIXELS, rounds=3)
    assert asked == ["slow", "fast", *["fast", "slow"], *["slow", "fast"], *["fast", "slow"]]
    assert fast.images_per_cpu_s > 3 * slow.images_per_cpu_s
