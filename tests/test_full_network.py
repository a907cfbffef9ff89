"""The sample data through the full VGG16 gives the results that the demo promises."""

import json
import re
from pathlib import Path

import pytest
from projects import ROOT, edit_params, make_repository, repro

from headstart.sources.sample import draw_sample

pytestmark = pytest.mark.slow


def test_random_convolutions_see_scratches(tree: Path) -> None:
    """With the committed parameters, on images that were not used before evaluation."""
    (tree / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    draw_sample(tree / "data")
    make_repository(tree)
    assert (tree / "data.dvc").read_text() == (ROOT / "data.dvc").read_text()
    repro(tree)
    metrics = json.loads((tree / "reports/metrics.json").read_text())
    for name, shown in printed_figures().items():
        assert metrics[name] == pytest.approx(shown, abs=0.03), name  # other processors round differently


def printed_figures() -> dict[str, float]:
    """Test metrics by name, as README shows the end of `make demo`."""
    names = {"Test images": "images", "Accuracy": "accuracy", "Balanced accuracy": "balanced_accuracy"}
    names |= {"ROC AUC": "roc_auc", "Log loss": "log_loss"}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {name: re.findall(rf"^{shown} +([\d.]+)", text, re.MULTILINE) for shown, name in names.items()}
    return {name: float(figure) for name, [figure] in found.items()}


def test_the_articles_cut_has_4096_numbers(tree: Path) -> None:
    draw_sample(tree / "data", images_per_class=20)
    edit_params(
        tree,
        **{
            "backbone.width": 64,
            "model.head": "linear",
            "train.epochs": 3,
            "validate.min_images_per_class": 5,
        },
    )
    make_repository(tree)
    assert "40 x (4096,) after classifier.4" in repro(tree)
