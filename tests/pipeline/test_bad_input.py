"""Unusable data: a clear error, nothing half-written, nothing lost."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from odd_files import REASONS, make_odd_files
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
    assert "data holds no images" in validate()


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
    assert "a/1.jpg: cannot be decoded: not an image format that Headstart reads" in message
    assert (tree / "reports" / "validation.json").exists()


def test_more_files_left_out_than_allowed(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 30, "scratch": 30})
    for number in range(2):
        (tree / "data" / "ok" / f"{number}.jpg").write_text("text")
    assert "2 of 62 files (3.2%) are left out, expected at most 2.0%" in validate()


def test_what_is_no_file_is_left_out_and_the_rest_goes_on(tree: Path) -> None:
    draw_images(tree / "data", {"ok": 30, "scratch": 30})
    make_odd_files(tree / "data" / "ok")
    (tree / "data/ok/good.png").unlink()
    edit_params(tree, **{"validate.max_excluded": 0.1})
    main(["validate"])
    manifest = pd.read_parquet(tree / "artifacts" / "manifest.parquet").set_index("path")
    assert (manifest["excluded"] == "").sum() == 60
    for name, reason in (REASONS | {"gone.png": "there is no such file"}).items():
        assert manifest.loc[f"ok/{name}", "excluded"] == f"cannot be decoded: {reason}"


def test_folders_that_can_be_read_in_two_ways(tree: Path, validate: Callable[[], str]) -> None:
    for camera in ("north", "south"):
        draw_images(tree / "data" / camera, {"ok": 20, "scratch": 20}, seed=len(camera))
    message = validate()
    assert "2 classes, the outer folders: north (40), south (40)" in message
    assert "2 classes, the inner folders: ok (40), scratch (40)" in message


def test_rows_and_images_without_each_other(tree: Path, validate: Callable[[], str]) -> None:
    draw_images(tree / "data", {"ok": 20, "scratch": 20})
    rows = [f"{label}/{number:03}.png,{label}" for label in ("ok", "scratch") for number in range(19)]
    (tree / "data" / "labels.csv").write_text("\n".join(["path,label", *rows, "ok/gone.png,ok"]))
    edit_params(tree, **{"data.labels": "labels.csv"})
    message = validate()
    assert "3 of 41 files (7.3%) are left out" in message
    assert "ok/019.png: has no label in data/labels.csv" in message
    assert "ok/gone.png: cannot be decoded: there is no such file" in message


def test_a_table_of_labels_replaces_the_folders(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_images(tree / "data", {"dark": 20, "light": 20})
    paths = [f"{label}/{number:03}.png" for label in ("dark", "light") for number in range(20)]
    table = pd.DataFrame({"path": paths, "label": ["a", "b"] * 20, "group": [path[-7:-4] for path in paths]})
    table["split"] = [("train", "train", "validation", "test")[number % 4 // 1] for number in range(40)]
    table.loc[table.index % 8 >= 4, "label"] = table.loc[table.index % 8 >= 4, "label"].map(
        {"a": "b", "b": "a"}
    )
    table.to_parquet(tree / "data" / "labels.parquet")
    (tree / "data" / "about.txt").write_text("not an image")
    edit_params(tree, **{"data.labels": "labels.parquet", "split.group": "column"})
    main(["validate"])
    said = capsys.readouterr().out
    assert "40 images in 2 classes: 20 train, 10 val, 10 test" in said
    assert "ignored 1 file that is not an image: about.txt" in said
    manifest = pd.read_parquet(tree / "artifacts" / "manifest.parquet").set_index("path")
    assert manifest.loc["dark/001.png", ["label", "split", "group"]].tolist() == ["b", "train", "001"]


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


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("preprocess", "artifacts/manifest.parquet"),
        ("features", "artifacts/images.parquet"),
        ("inspect", "artifacts/images.parquet"),
        ("train", "artifacts/features.safetensors"),
        ("evaluate", "artifacts/head.safetensors"),
        ("predict", "artifacts/head.safetensors"),
        ("init-from", "artifacts/head.safetensors"),
        ("show", "reports/metrics.json"),
        ("docs", "reports/validation.json"),
    ],
)
def test_a_damaged_file_is_named_with_what_makes_it_again(tree: Path, command: str, file: str) -> None:
    draw_images(tree / "data", {"ok": 1})
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    arguments = {"predict": ["data"], "init-from": [file]}.get(command, [])
    for data in (b"", b"PAR1\0cut", b"\x10\0\0\0\0\0\0\0{", b'{"a":'):
        (tree / file).write_bytes(data)
        with pytest.raises(SystemExit) as stopped:
            main([command, *arguments])
        message = str(stopped.value)
        assert message.startswith(f"headstart {command}: error: ")
        assert file in message
        assert "`dvc repro`" in message
