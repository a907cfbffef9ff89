"""Classes and splits as given by a folder of images."""

import os
from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.pipeline.data.folders import find_files


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_class_is_a_subfolder_and_deeper_folders_belong_to_it(tmp_path: Path) -> None:
    found = find_files(touch(tmp_path, "ant/1.png", "ant/deep/2.png", "bee/1.png", "loose.png"))
    assert [(f.path, f.label, f.split) for f in found] == [
        ("ant/1.png", "ant", ""),
        ("ant/deep/2.png", "ant", ""),
        ("bee/1.png", "bee", ""),
        ("loose.png", "", ""),
    ]


def test_hidden_files_and_leavings_of_systems_do_not_count(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/.DS_Store", "a/Thumbs.db", ".git/x", "a/desktop.ini")
    assert [f.path for f in find_files(tmp_path)] == ["a/1.png"]


def test_split_folders_with_the_same_classes_are_splits(tmp_path: Path) -> None:
    found = find_files(touch(tmp_path, "train/a/1.png", "train/b/1.png", "valid/a/2.png", "valid/b/2.png"))
    assert [(f.label, f.split) for f in found] == [("a", "train"), ("b", "train"), ("a", "val"), ("b", "val")]


def test_images_right_in_folders_named_like_splits_are_classes(tmp_path: Path) -> None:
    found = find_files(touch(tmp_path, "train/1.png", "test/1.png"))
    assert {(f.label, f.split) for f in found} == {("train", ""), ("test", "")}


def test_one_other_folder_makes_them_classes(tmp_path: Path) -> None:
    found = find_files(touch(tmp_path, "train/a/1.png", "bus/a/1.png"))
    assert {f.label for f in found} == {"train", "bus"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/a/1", "train/b/1", "test/a/1"], "different classes .*b only"),
        (["train/a/1", "val/a/1", "valid/a/1"], "both val/ and valid/"),
        (["test/a/1", "val/a/1"], "no train/"),
    ],
)
def test_split_folders_that_do_not_agree_are_an_error(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_files(touch(tmp_path, *names))


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no files"):
        find_files(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        find_files(tmp_path / "data")


def test_a_name_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / os.fsdecode(b"bad\xff.png")).touch()
    with pytest.raises(DataError, match=r"bad\\xff\.png' is not UTF-8; rename"):
        find_files(tmp_path)


def test_a_link_to_a_folder_above_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    with pytest.raises(DataError, match="loop links to a folder that contains it"):
        find_files(tmp_path)
