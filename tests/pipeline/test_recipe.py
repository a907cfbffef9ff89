"""The features stage and monitoring share stored rows, because both compute the same recipe."""

from importlib import import_module
from pathlib import Path

import pytest
from projects import ROOT, draw_images, edit_params

from headstart.ground import paths
from headstart.ground.import_closure import import_closure
from headstart.params import Params, load_params
from headstart.pipeline.features import compute
from headstart.versions.monitoring.observing import Observer


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects every feature recipe that is computed."""
    found: list[str] = []
    recipe_of = compute.features_recipe

    def keep(*arguments: object) -> str:
        found.append(recipe_of(*arguments))
        return found[-1]

    monkeypatch.setattr(compute, "features_recipe", keep)
    return found


def run_stages(params: Params) -> None:
    stage = {name: import_module(f"headstart.pipeline.{name}.stage").run for name in PACKAGES}
    stage["network"](params.backbone)
    stage["data"](params.data, params.validate_, params.split)
    stage["pixels"](params.backbone, params.preprocess)
    stage["features"](params.backbone, params.preprocess, params.model, params.features)
    stage["training"](params.train)


PACKAGES = ("network", "data", "pixels", "features", "training")


@pytest.mark.parametrize("changes", [{}, {"model.head": "linear", "features.batch_size": 8}])
def test_monitoring_uses_the_rows_of_the_features_stage(
    tree: Path, recipes: list[str], changes: dict[str, object]
) -> None:
    draw_images(tree / "data", {"dark": 24, "light": 24})
    edit_params(tree, **{"train.epochs": 1, **changes})
    run_stages(load_params(tree / "params.yaml"))
    [of_stage] = recipes
    Observer(paths.HEAD, paths.BACKBONE)
    assert recipes == [of_stage, of_stage]


def test_the_recipe_covers_all_code_between_the_backbones_file_and_a_row() -> None:
    used = import_closure(ROOT / "src", compute.__name__)
    for name in (
        "features/compute.py",
        "features/frozen.py",
        "network/checkpoint.py",
        "network/modules.py",
        "network/network.py",
        "network/vgg.py",
        "pixels/packed.py",
        "pixels/transforms.py",
        "pixels/views.py",
    ):
        assert f"src/headstart/pipeline/{name}" in used
    assert not any("/training/" in name or name.endswith("stage.py") for name in used)
