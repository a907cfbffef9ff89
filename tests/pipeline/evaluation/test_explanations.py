"""The stage explains the mistakes it shows, each with its own evidence and the training images like it."""

import re
from pathlib import Path

import pandas as pd
import pytest
from projects import draw_images, edit_params

from headstart.cli.main import main
from headstart.ground import paths


@pytest.mark.parametrize("head", ["pooled", "all trained"])
def test_every_mistake_shown_is_explained(tree: Path, head: str) -> None:
    """Both classes are the same noise, so that a good share of the answers is wrong."""
    for seed, name in enumerate(("a", "b")):
        draw_images(tree / "data", {name: 30}, seed)
    edit_params(tree, **{"train.epochs": 3})
    if head == "all trained":
        edit_params(tree, **{"backbone.arch": "vgg11", "model.train": ["features"]})
    for command in ("backbone", "validate", "preprocess", "features", "train", "evaluate"):
        main([command])
    page = paths.REPORT.read_text()
    answers = pd.read_parquet(paths.PREDICTIONS)
    wrong = answers[answers["predicted"] != answers["label"]]
    assert len(wrong)
    for answer in ("a", "b"):
        assert page.count(f"where the evidence for {answer} lies") == (wrong["predicted"] == answer).sum()
    train = pd.read_parquet(paths.IMAGE_TABLE).set_index("path")
    near = re.findall(r'<figure title="(.*?)">.*?<figcaption>(\w) ', page)
    # without frozen layers no features are stored, so nothing is nearest
    assert len(near) == (3 * len(wrong) if head == "pooled" else 0)
    assert all(train.loc[path, "split"] == "train" for path, _ in near)
    assert all(train.loc[path, "label"] == label for path, label in near)
    assert '<section id="baselines">' in page
    main(["evaluate"])
    assert paths.REPORT.read_text() == page
