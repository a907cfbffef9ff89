"""`train.temperature`: one fitted number, and the same probabilities at every door."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from projects import draw_images, edit_params

from headstart.cli.main import main
from headstart.ground import paths
from headstart.ground.paths import cache_folder
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.temperature import TENSOR, rescaled
from headstart.pipeline.store.store import Store
from headstart.versions.monitoring.observing import Observer
from headstart.versions.serving.predictor import Predictor
from headstart.versions.serving.served_model import ServedModel


@pytest.fixture
def project(tree: Path) -> Path:
    """Two classes that are hard to tell apart, evaluated by a head without a temperature."""
    draw_images(tree / "data", {"dark": 40, "light": 40})
    random = np.random.default_rng(1)
    both = sorted((tree / "data").rglob("*.png"))
    for path in random.choice(both, 16, replace=False):  # labels that are wrong, so that it errs
        other = "light" if path.parent.name == "dark" else "dark"
        path.rename(path.parent.parent / other / f"moved-{path.name}")
    for command in ("backbone", "validate", "preprocess", "features", "train", "evaluate"):
        main([command])
    return tree


def shares(table: pd.DataFrame) -> np.ndarray:
    return table[["probability:dark", "probability:light"]].to_numpy()


def test_every_door_answers_at_the_fitted_temperature(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_head, plain = checkpoint.load(paths.HEAD), pd.read_parquet(paths.PREDICTIONS)
    edit_params(project, **{"train.temperature": True})
    main(["train"])
    main(["evaluate"])
    head, evaluated = checkpoint.load(paths.HEAD), pd.read_parquet(paths.PREDICTIONS)
    temperature = float(head.pop(TENSOR))
    assert temperature != pytest.approx(1, abs=0.02)
    assert all(torch.equal(tensor, plain_head[name]) for name, tensor in head.items())
    assert evaluated["predicted"].equals(plain["predicted"])
    assert shares(evaluated) == pytest.approx(rescaled(shares(plain), temperature), abs=1e-9)

    files = [project / "data" / path for path in evaluated["path"]]
    predictor = Predictor.load(paths.HEAD, paths.BACKBONE)
    assert predictor.predict([file.read_bytes() for file in files]) == pytest.approx(
        shares(evaluated), abs=1e-3
    )
    with Store(cache_folder()) as store:
        named = [(str(file), file) for file in files]
        seen = Observer(paths.HEAD, paths.BACKBONE).observe(named, store).table
    assert seen["confidence"].to_numpy() == pytest.approx(evaluated["confidence"].to_numpy(), abs=1e-3)
    served = ServedModel()
    served.predictor, served.version = predictor, "models:/m/1"
    answers = served.predict(None, pd.DataFrame({"image": [file.read_bytes() for file in files]}))
    assert answers["label"].tolist() == evaluated["predicted"].tolist()
    assert [answer["dark"] for answer in answers["probabilities"]] == pytest.approx(
        shares(evaluated)[:, 0], abs=1e-3
    )
    capsys.readouterr()
    main(["predict", "--json", *map(str, files)])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in printed] == evaluated["predicted"].tolist()
    assert [line["probabilities"]["light"] for line in printed] == pytest.approx(
        shares(evaluated)[:, 1], abs=1e-3
    )


def test_training_from_an_earlier_head_leaves_its_temperature(project: Path) -> None:
    edit_params(project, **{"train.temperature": True})
    main(["train"])
    tensors, described = checkpoint.load(paths.HEAD), checkpoint.metadata(paths.HEAD)
    checkpoint.save(paths.INIT, tensors, described)
    edit_params(project, **{"train.temperature": False, "train.init": described["digest"]})
    main(["train"])
    assert TENSOR not in checkpoint.load(paths.HEAD)


def test_a_sweep_fits_the_temperature_of_the_head_that_it_keeps(project: Path) -> None:
    trials = [{"lr": 0.0001}, {"lr": 0.05}]
    edit_params(project, **{"train.temperature": True, "train.trials": trials})
    main(["train"])
    swept = checkpoint.load(paths.HEAD)
    best = int(pd.read_csv(paths.TRIALS)["val_loss"].idxmin())
    edit_params(project, **{"train.trials": [trials[best]]})
    main(["train"])
    alone = checkpoint.load(paths.HEAD)
    assert float(swept[TENSOR]) == pytest.approx(float(alone[TENSOR]), rel=1e-3)
