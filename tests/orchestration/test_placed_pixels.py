"""A worker that runs one stage of another's flow has no image files, unless that stage packs images again."""

from pathlib import Path

import numpy as np
import pytest
from packed import hold

from headstart.ground import paths
from headstart.orchestration.placed_pixels import fetch_images
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.network import INPUT
from headstart.repository import worker_clone

PIXELS = [np.full((224, 224, 3), value, np.uint8) for value in (1, 2)]


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A project with the results of preprocess and features; what is fetched is listed."""
    listed: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "here"))
    monkeypatch.setattr(worker_clone, "fetch_outs", listed.append)
    paths.IMAGE_TABLE.parent.mkdir()
    hold(PIXELS).to_parquet(paths.IMAGE_TABLE)
    write_features("classifier.6")
    return listed


def write_features(cut: str) -> None:
    checkpoint.save(paths.FEATURES, {}, dict.fromkeys(checkpoint.FEATURES_KEYS) | {"cut": cut})


def test_packed_images_that_the_store_holds_are_enough(fetched: list[str]) -> None:
    assert not fetch_images("features")
    assert fetched == ["preprocess"]


@pytest.mark.parametrize("stage", ["features", "evaluate"])
def test_a_host_that_lacks_one_gets_the_image_files(
    stage: str, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "there"))
    hold(PIXELS[:1])
    assert fetch_images(stage)
    assert fetched == ["preprocess", "data.dvc"]


def test_training_on_stored_features_needs_no_image(
    fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "there"))
    assert not fetch_images("train")
    assert fetched == ["features"]


def test_training_on_images_needs_them(
    fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "there"))
    write_features(INPUT)
    assert fetch_images("train")
    assert fetched == ["features", "preprocess", "data.dvc"]
