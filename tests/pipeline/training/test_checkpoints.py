"""The key by which a stored state is matched to its training."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from problems import features_file
from sections import section

from headstart.ground import paths
from headstart.pipeline.training import checkpoints, stage
from headstart.pipeline.training.checkpoints import checkpoint_key, checkpoint_of, stored_checkpoints

TABLE = pd.DataFrame({"label": ["a", "b"], "split": ["train", "val"], "pixels": ["0", "1"]})


@pytest.fixture
def arguments(tree: Path) -> dict[str, Any]:
    rows = features_file(tree, torch.eye(2))
    train = section("train")
    return {
        "train": train,
        "metadata": {"cut": "classifier.4"},
        "table": TABLE,
        "rows": rows,
        "module": stage.__name__,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"train": section("train", lr=0.5)},
        {"train": section("train", trials=[{"lr": 0.5}])},
        {"metadata": {"cut": "flatten"}},
        {"table": TABLE.assign(label=["b", "a"])},
        {"module": "headstart.pipeline.evaluation.stage"},
    ],
)
def test_a_change_of_anything_that_decides_the_result_is_another_training(
    arguments: dict[str, Any], change: dict[str, Any]
) -> None:
    key = checkpoint_key(**arguments)
    assert checkpoint_key(**arguments) == key
    assert checkpoint_key(**{**arguments, **change}) != key


def test_other_rows_or_libraries_are_another_training(tree: Path, arguments: dict[str, Any]) -> None:
    key = checkpoint_key(**arguments)
    (tree / "other").mkdir()
    other = features_file(tree / "other", 2 * torch.eye(2))
    assert checkpoint_key(**{**arguments, "rows": other}) != key
    paths.LOCK.write_text(paths.LOCK.read_text() + "\n")
    assert checkpoint_key(**arguments) != key


def test_an_edit_of_code_is_another_training(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    key = checkpoint_key(**arguments)
    monkeypatch.setattr(checkpoints, "closure_digest", lambda module: asked.append(module) or "edited")
    assert checkpoint_key(**arguments) != key
    assert asked == ["headstart.pipeline.training.stage"]


def test_states_are_found_by_key_and_removed_with_it() -> None:
    for key in ("one", "two"):
        checkpoint_of(key, 3).save({}, {})
    assert [path.name for path in stored_checkpoints("one")] == ["one-3.safetensors"]
    checkpoints.remove_checkpoints("one")
    assert not stored_checkpoints("one")
    assert stored_checkpoints("two")
