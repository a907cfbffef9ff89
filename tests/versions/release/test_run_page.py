"""The description of a run fits into the lines that MLflow shows at once."""

import pytest
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from headstart.versions.release.run_page import run_note

METRICS = {"accuracy": 0.9, "images": 92, "intervals": {"accuracy": {"low": 0.8, "high": 0.95}}}
HEAD = {
    "arch": "vgg16",
    "head": "pooled",
    "epoch": 25,
    "classes": ["ok", "scratch"],
    "backbone": {"source": "IMAGENET1K_V1"},
}
SHOWN = 4  # lines above "Show more"


@pytest.mark.parametrize("trials", [(), ("cd34", "ef56")])
def test_a_description_of_a_run_is_not_folded(trials: tuple[str, ...]) -> None:
    lines = run_note("1", "ab12", METRICS, HEAD, 0.95, trials).split("\n")
    shown = [line for line in lines if line]
    assert len(shown) <= SHOWN
    assert shown[0].startswith("**Test accuracy 0.9000** (95 % interval 0.8000 to 0.9500) on 92 images")
    assert "[report](#/experiments/1/runs/ab12/artifacts/reports/report.html)" in shown[1]
    assert ("A sweep of 2 trials: [" in shown[2]) == bool(trials)
    assert shown[-1].endswith("best epoch 25; backbone: IMAGENET1K_V1")


def test_the_links_of_a_large_sweep_are_not_cut() -> None:
    trials = [f"{number:032x}" for number in range(512)]
    note = run_note("1", "ab12", METRICS, HEAD, 0.95, trials)
    assert len(note) <= MAX_TAG_VAL_LENGTH
    assert "A sweep of 512 trials: [all, the best first](#/experiments/1/runs?searchFilter=" in note
    assert "[compare the best 100 by parallel coordinates](#/compare-runs?runs=" in note
    assert all(trial in note for trial in trials[:100])
