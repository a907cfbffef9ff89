"""Verdicts of identical, within tolerance and different, and the place of the first difference."""

import json
from pathlib import Path

import pandas as pd
import pytest

from headstart.ground import paths
from headstart.versions.provenance import agreement
from headstart.versions.provenance.agreement import Agreement, Figure, Out, Predictions

MACHINE = {
    "train": {"device": "A", "cpu_capability": "AVX512", "python": "3.11.7", "versions": {"torch": "2"}}
}
SAME = Predictions(3, 3, (), 0, 0.0, "")


def agree(**changes: object) -> Agreement:
    values: dict[str, object] = {
        "outs": (Out("train", str(paths.HEAD), "a", "a"),),
        "head_recorded": "h",
        "head_again": "h",
        "metrics": (Figure("accuracy", 0.9, 0.9),),
        "predictions": SAME,
        "machine": (),
        "tolerance": 0.02,
    }
    return Agreement(**{**values, **changes})  # type: ignore[arg-type]


def table(file: Path, /, **columns: list[object]) -> Path:
    rows = {
        "path": ["a", "b"],
        "predicted": ["x", "y"],
        "probability:x": [0.9, 0.2],
        "probability:y": [0.1, 0.8],
    }
    pd.DataFrame({**rows, **columns}).to_parquet(file)
    return file


def test_everything_equal_is_identical() -> None:
    found = agree()
    assert found.verdict == "identical"
    assert found.first_difference == ""


@pytest.mark.parametrize(
    "change",
    [
        {"head_again": "other"},
        {"metrics": (Figure("accuracy", 0.9, 0.9 + 1e-12),)},
        {"predictions": Predictions(3, 2, (), 0, 1e-9, "b")},
        {"predictions": Predictions(3, 3, (), 1, 0.0, "b")},
    ],
)
def test_the_least_difference_on_the_same_kind_of_machine_is_different(change: dict[str, object]) -> None:
    assert agree(**change).verdict == "different"


def test_tolerance_is_for_another_kind_of_machine() -> None:
    near = {"head_again": "other", "machine": ("train.device",)}
    assert agree(**near, predictions=Predictions(3, 0, (), 0, 0.02, "a")).verdict == "within tolerance"
    assert agree(**near, predictions=Predictions(3, 0, (), 0, 0.021, "a")).verdict == "different"
    assert agree(**near, metrics=(Figure("log_loss", 0.9, 0.93),)).verdict == "different"
    assert agree(**near, metrics=(Figure("roc_auc", None, 0.93),)).verdict == "different"
    assert agree(**near, metrics=(Figure("roc_auc", None, None),)).verdict == "within tolerance"


def test_the_first_difference_is_the_first_stage_s_and_no_environment() -> None:
    outs = (
        Out("features", f"{paths.ENVIRONMENTS}/features.json", "a", "b"),
        Out("features", str(paths.FEATURES), "a", "a"),
        Out("train", str(paths.HEAD), "a", ""),
        Out("evaluate", str(paths.METRICS), "a", "b"),
    )
    assert agree(outs=outs).first_difference == f"stage train: {paths.HEAD}"


def test_predictions_are_compared_image_by_image(tmp_path: Path) -> None:
    recorded = table(tmp_path / "a.parquet")
    assert agreement.compare_predictions(recorded, recorded) == Predictions(2, 2, (), 0, 0.0, "")
    moved = table(tmp_path / "b.parquet", predicted=["x", "x"], **{"probability:y": [0.1, 0.5]})
    found = agreement.compare_predictions(recorded, moved)
    assert (found.identical, found.relabelled, found.first) == (1, ("b",), "b")
    assert found.probability_gap == pytest.approx(0.3)
    renamed = table(tmp_path / "c.parquet", path=["a", "c"])
    found = agreement.compare_predictions(recorded, renamed)
    assert (found.identical, found.missing, found.first) == (1, 2, "b")
    classes = table(tmp_path / "d.parquet", **{"probability:z": [0.0, 0.0]})
    assert not agreement.compare_predictions(recorded, classes).same


def test_what_mlflow_shows_is_compared_too(tmp_path: Path) -> None:
    metrics = {
        "accuracy": 0.5,
        "roc_auc": None,
        "classes": {},
        "intervals": {"accuracy": {"low": 0.4, "high": 0.6}},
    }
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(metrics))
    logged = {"test/accuracy": 0.5, "test/accuracy_low": 0.4, "val_loss": 1.0}
    assert all(figure.gap == 0 for figure in agreement.compare_metrics(logged, tmp_path, tmp_path))
    edited = {**logged, "test/accuracy": 0.99}
    [changed] = [f for f in agreement.compare_metrics(edited, tmp_path, tmp_path) if f.gap]
    assert changed == Figure("MLflow test/accuracy", 0.99, 0.5)


def test_machines_are_compared_stage_by_stage() -> None:
    other = {"train": {**MACHINE["train"], "device": "B", "versions": {"torch": "3"}}}
    assert agreement.compare_machines(MACHINE, MACHINE) == ()
    assert agreement.compare_machines(MACHINE, other) == ("train.device", "train.versions.torch")


def test_outs_are_read_not_taken_on_trust(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/a").write_bytes(b"abc")
    lock = {
        "stages": {
            "train": {
                "outs": [
                    {"path": "artifacts/a", "md5": "900150983cd24fb0d6963f7d28e17f72"},
                    {"path": "artifacts/gone", "md5": "0"},
                ]
            }
        }
    }
    assert [out.same for out in agreement.compare_outs(lock, tmp_path, ["train"])] == [True, False]
