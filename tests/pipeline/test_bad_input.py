"""Unusable data: a clear error, nothing half-written, nothing lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from projects import draw_images, edit_params

from headstart.cli.main import main


@pytest.fixture
def validate(tree: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Run the stage, which must fail, and return the message."""

    def call() -> str:
        with pytest.raises(SystemExit) as stopped:
            main(["validate"])
        message = str(stopped.value)
        assert message.startswith("headstart validate: error: ")
        assert not (tree / "artifacts" / "manifest.parquet").exists()
        left = [path.name for path in tree.rglob(".*.parquet.*")]
        assert left == []
        return message

    return call


def test_no_data(tree: Path, validate: Callable[[], str]) -> None:
    assert "there is no folder data" in validate()
    (tree / "data").mkdir()
    assert "data holds no files" in validate()


def test_one_class_only(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 30})
    assert "1 class with images: ok; expected at least 2" in validate()


def test_a_class_with_too_few_images(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 30, "scratch": 4})
    assert "Too few images in 1 class: scratch (4); expected at least 10" in validate()


def test_a_class_that_is_missing_from_a_split(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 30, "scratch": 2})
    edit_params(tree, **{"validate.min_images_per_class": 1})
    assert "Too few images of a class in a split: scratch in" in validate()


def test_every_image_unreadable(tree: Path, validate: Callable[[], str]) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        (tree / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "data" / name).write_bytes(b"nothing")
    message = validate()
    assert "None of 3 files is left" in message
    assert "a/1.jpg: cannot be decoded: not an image format that Pillow knows" in message
    assert (tree / "reports" / "validation.json").exists()


def test_more_files_left_out_than_allowed(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 30, "scratch": 30})
    for number in range(2):
        (tree / "data" / "ok" / f"{number}.txt").write_text("text")
    assert "2 of 62 files (3.2%) are left out, expected at most 2.0%" in validate()


def test_the_policy_may_be_to_stop(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 60, "scratch": 60})
    Image.new("RGB", (50, 50)).save(tree / "data" / "ok" / "animation.gif")
    edit_params(tree, **{"validate.on_bad_file": "stop"})
    assert "ok/animation.gif: format is GIF, expected one of JPEG" in validate()


def test_the_same_picture_in_two_classes(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 30, "scratch": 30})
    Image.open(tree / "data/ok/000.png").save(tree / "data/scratch/copy.bmp")
    message = validate()
    assert "ok/000.png (ok)" in message
    assert "scratch/copy.bmp (scratch)" in message


def test_the_same_picture_in_two_split_folders(tree: Path, validate: Callable[[], str]) -> None:
    for number, split in enumerate(("train", "val", "test")):
        draw_images(tree / "data" / split, {"ok": 12, "scratch": 12}, seed=number)
    Image.open(tree / "data/train/ok/000.png").save(tree / "data/test/ok/copy.png")
    message = validate()
    assert "train/ok/000.png (train)" in message
    assert "test/ok/copy.png (test)" in message


def test_a_wrong_type_in_params(tree: Path, validate: Callable[[], str]) -> None:
    edit_params(tree, **{"validate.min_size": "large"})
    assert "validate.min_size: input should be a valid integer, found 'large'" in validate()


def test_weights_that_are_not_there(tree: Path) -> None:
    edit_params(tree, **{"backbone.weights": "weights.pth", "backbone.sha256": "0" * 64})
    with pytest.raises(SystemExit, match="there is no file weights.pth"):
        main(["backbone"])
    assert not (tree / "artifacts" / "backbone.safetensors").exists()
