"""`train.abstain`: no label below a confidence, at every door, and nothing else changes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from projects import draw_mislabelled, edit_params
from pydantic import ValidationError
from served import IMAGE, loaded, served_model

from headstart.cli.main import main
from headstart.errors import ModelError
from headstart.ground import paths
from headstart.ground.paths import cache_folder
from headstart.pipeline.network import abstention, checkpoint
from headstart.pipeline.network.abstention import Abstention, fit_abstention, read_abstention, threshold_at
from headstart.pipeline.network.settings import Abstain
from headstart.pipeline.store.store import Store
from headstart.versions.monitoring.observing import REFUSED, Observer
from headstart.versions.serving.predictor import Predictor
from headstart.versions.serving.served_model import ServedModel


def test_a_rate_becomes_the_confidence_that_refuses_it() -> None:
    sure = np.linspace(0.505, 0.995, 100)
    shares = np.stack([sure, 1 - sure], 1)
    found = fit_abstention(Abstain(rate=0.05), shares)
    assert found.rate == 0.05
    assert sum(map(found.refuses, shares)) == 5
    set_by_hand = fit_abstention(Abstain(confidence=0.75), shares)
    assert (set_by_hand.confidence, set_by_hand.rate) == (0.75, 0.5)


def test_ties_refuse_fewer_and_never_more() -> None:
    assert threshold_at(np.array([0.6, 0.6, 0.6, 0.9]), 0.5) == 0.6
    assert fit_abstention(Abstain(rate=0.5), np.array([[0.6, 0.4]] * 3 + [[0.9, 0.1]])).rate == 0
    assert fit_abstention(Abstain(rate=0.0), np.array([[0.6, 0.4]])).rate == 0


@pytest.mark.parametrize("wanted", [{}, {"confidence": 0.8, "rate": 0.1}, {"confidence": 1.2}, {"rate": 1.0}])
def test_one_of_confidence_and_rate_is_set(wanted: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Abstain(**wanted)


def test_a_file_whose_values_are_no_shares_is_refused() -> None:
    tensors = Abstention(0.8, 0.1).tensors()
    assert read_abstention(tensors, "head") == Abstention(0.8, 0.1)
    assert read_abstention({}, "head") is None
    with pytest.raises(ModelError, match="head refuses below nan"):
        read_abstention({**tensors, abstention.CONFIDENCE: torch.tensor(float("nan"))}, "head")


def test_a_refused_image_has_probabilities_and_a_reason_but_no_label(tmp_path: Path) -> None:
    model = served_model(tmp_path)
    model.predictor.refused = "refused: the confidence is below 0.8"
    [row] = loaded(model).predict(pd.DataFrame({"image": [IMAGE]})).to_dict("records")
    assert row["label"] is None
    assert row["probabilities"] == {"dark": 0.25, "light": 0.75}
    assert row["error"] == "refused: the confidence is below 0.8"


@pytest.fixture
def project(tree: Path) -> Path:
    """Two classes with some wrong labels, and a head that refuses a quarter of the validation images."""
    draw_mislabelled(tree / "data", 40, 16)
    edit_params(tree, **{"train.abstain": {"rate": 0.25}, "train.temperature": True})
    for command in ("backbone", "validate", "preprocess", "features", "train", "evaluate"):
        main([command])
    return tree


def test_every_door_refuses_the_same_images(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated = pd.read_parquet(paths.PREDICTIONS)
    own = read_abstention(checkpoint.load(paths.HEAD), "head")
    assert own is not None
    assert 0 < own.rate <= 0.25
    assert "as this head does" in paths.REPORT.read_text()
    assert set(evaluated["predicted"]) == {"dark", "light"}  # evaluation counts the most probable class
    refused = (evaluated["confidence"] < own.confidence).tolist()
    assert True in refused
    assert False in refused
    labels = [None if no else name for no, name in zip(refused, evaluated["predicted"], strict=True)]
    files = [project / "data" / path for path in evaluated["path"]]

    served = ServedModel()
    served.predictor, served.version = Predictor.load(paths.HEAD, paths.BACKBONE), "models:/m/1"
    answers = served.predict(None, pd.DataFrame({"image": [file.read_bytes() for file in files]}))
    assert answers["label"].tolist() == labels
    assert [error == own.reason for error in answers["error"]] == refused
    assert None not in answers["probabilities"].tolist()

    with Store(cache_folder()) as store:
        named = [(str(file), file) for file in files]
        seen = Observer(paths.HEAD, paths.BACKBONE).observe(named, store).table
    assert seen["label"].tolist() == [label or REFUSED for label in labels]

    capsys.readouterr()
    main(["predict", "--json", *map(str, files)])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in printed] == labels
    assert [line.get("error") == own.reason for line in printed] == refused
    main(["predict", *map(str, files)])
    lines = capsys.readouterr().out.splitlines()
    assert [own.reason in line for line in lines] == refused
