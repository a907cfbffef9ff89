"""The sample data through the full VGG16 gives the results that the demo promises."""

import json
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
    assert metrics["images"] >= 80
    assert metrics["accuracy"] >= 0.9
    assert metrics["balanced_accuracy"] >= 0.9


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
