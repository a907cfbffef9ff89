"""Near duplicates in several splits stop validation, or share a split; those in several classes are shown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from sections import section

from headstart.errors import DataError
from headstart.ground import paths
from headstart.pipeline.data import alike, stage


def draw(random: np.random.Generator) -> Image.Image:
    coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3)).astype(np.uint8))
    return coarse.resize((96, 96), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def frame(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The object again: shifted by up to 3 pixels, with noise."""
    right, down = random.integers(-3, 4, 2)
    pixels = np.roll(np.asarray(image), (int(down), int(right)), (0, 1)).astype(int)
    return Image.fromarray(np.clip(pixels + random.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8))


@pytest.fixture
def frames(tree: Path) -> Path:
    """60 objects of six nearly equal frames, with a coin toss for each object's class."""
    random = np.random.default_rng(0)
    for number in range(60):
        image, folder = draw(random), tree / "data" / ("heads", "tails")[random.integers(2)]
        folder.mkdir(parents=True, exist_ok=True)
        for place in range(6):
            frame(image, random).save(folder / f"object{number:02}-{place}.png")
    return tree / "data"


def validate(near_duplicates: str = "stop", **split: object) -> str:
    return stage.run(
        section("data"),
        section("validate", near_duplicates=near_duplicates),
        section("split", **split),
    )


def splits() -> pd.Series:
    table = pd.read_parquet(paths.MANIFEST)
    return table.set_index("path")["split"]


def test_frames_of_one_object_in_several_splits_stop_validation(frames: Path) -> None:
    with pytest.raises(DataError) as stopped:
        validate()
    for part in ("groups of near duplicates in several splits", "object0", "split.group: similar"):
        assert part in str(stopped.value)
    assert str(paths.NEAR_DUPLICATES) in str(stopped.value)
    page = paths.NEAR_DUPLICATES.read_text()
    assert page.count("<img") > 200
    report = json.loads(paths.VALIDATION.read_text())
    assert not report["success"]
    assert report["near_duplicates"]["groups"] == 60
    assert report["near_duplicates"]["across_splits"] > 40
    assert not paths.MANIFEST.exists()


def test_similar_pictures_share_a_split(frames: Path) -> None:
    said = validate(group="similar")
    assert "near duplicates: 60 groups of 360 files, 0 in several splits, 0 in several classes" in said
    found = splits()
    objects = found.index.str.extract(r"(object\d+)")[0].to_numpy()
    assert found.groupby(objects).nunique().max() == 1
    assert set(found) == {"train", "val", "test"}


def test_similar_keeps_the_split_of_all_that_nothing_resembles(tree: Path) -> None:
    random = np.random.default_rng(1)
    for label in ("heads", "tails"):
        (tree / "data" / label).mkdir(parents=True)
        for number in range(40):
            draw(random).save(tree / "data" / label / f"{number:02}.png")
    validate()
    before = splits()
    frame(Image.open(tree / "data/heads/00.png"), random).save(tree / "data/heads/copy.png")
    validate(group="similar")
    after = splits()
    assert after.drop(["heads/copy.png", "heads/00.png"]).equals(before.drop("heads/00.png"))
    assert after["heads/copy.png"] == after["heads/00.png"]


def test_it_can_be_reported_alone_or_not_looked_for(frames: Path) -> None:
    assert "60 groups of 360 files" in validate("report")
    assert "near duplicates" not in validate("ignore")
    assert "None were looked for" in paths.NEAR_DUPLICATES.read_text()


def test_copies_in_two_folders_of_splits_stop_and_in_two_classes_are_shown(tree: Path) -> None:
    random = np.random.default_rng(2)
    for split, count in (("train", 20), ("val", 5), ("test", 5)):
        for label in ("heads", "tails"):
            (tree / "data" / split / label).mkdir(parents=True)
            for number in range(count):
                draw(random).save(tree / "data" / split / label / f"{number:02}.png")
    one = Image.open(tree / "data/train/heads/00.png")
    frame(one, random).save(tree / "data/train/tails/relabelled.png")
    said = validate()
    assert "1 groups of 2 files, 0 in several splits, 1 in several classes" in said
    frame(one, random).save(tree / "data/test/heads/copy.jpg")
    with pytest.raises(DataError, match=r"1 group of near duplicates in several splits: test/heads/copy.jpg"):
        validate(group="similar")


def test_pairs_are_looked_for_again_only_if_pictures_change(
    frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate("report")
    first = json.loads(paths.VALIDATION.read_text())["near_duplicates"]
    moved = next((frames / "heads").iterdir())
    moved.rename(frames / "tails" / "moved.png")
    monkeypatch.setattr(alike, "near_duplicates", lambda *_: pytest.fail("looked for again"))
    validate("report")
    found = json.loads(paths.VALIDATION.read_text())["near_duplicates"]
    assert (found["groups"], found["across_classes"]) == (first["groups"], first["across_classes"] + 1)
    (frames / "tails" / "moved.png").unlink()
    with pytest.raises(pytest.fail.Exception, match="looked for again"):
        validate("report")
