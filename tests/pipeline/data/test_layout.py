"""Classes and splits by folders: known layouts are read, every other stops with the line that settles it."""

from collections import Counter
from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.pipeline.data.dataset import read_dataset
from headstart.pipeline.data.settings import Data


def make(root: Path, *names: str) -> Path:
    """Files; a name that ends with a slash is an empty folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir() if name.endswith("/") else (root / name).touch()
    return root


def read(root: Path, layout: str | None = None) -> Counter[tuple[str, str]]:
    """The number of images by class and split."""
    settings = Data(source=None, settle_seconds=0, max_removed=0, layout=layout, labels=None)
    return Counter((each.label, each.split) for each in read_dataset(root, settings).images)


SPLITS = Counter({("a", "train"): 1, ("b", "train"): 1, ("a", "test"): 1, ("b", "test"): 1})
THREE = SPLITS + Counter({("a", "val"): 1, ("b", "val"): 1})


def split_folders(*tops: str) -> list[str]:
    return [f"{top}/{name}/1.png" for top in tops for name in ("a", "b")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (split_folders("train", "test"), SPLITS),
        (split_folders("Train", "Test"), SPLITS),
        (split_folders("Training", "Testing"), SPLITS),
        (split_folders("TRAIN", "TEST"), SPLITS),
        (split_folders("train", "validation", "test"), THREE),
        (split_folders("train", "Val", "test"), THREE),
        (split_folders("train", "valid", "test"), THREE),
        (split_folders("train", "dev", "test"), THREE),
        ([*split_folders("train", "test"), "__MACOSX/train/a/._1.png"], SPLITS),
        ([*split_folders("train", "test"), "notes/readme.txt"], SPLITS),
        ([*split_folders("train", "test"), "empty/"], SPLITS),
        ([*split_folders("train", "test"), "val/"], SPLITS),
        (split_folders("seg_train/seg_train", "seg_test/seg_test"), SPLITS),
        (split_folders("train_images", "test_images"), SPLITS),
        (split_folders("train2017", "test2017"), SPLITS),
        (split_folders("archive/train", "archive/test"), SPLITS),
        (split_folders("archive/my set/Train", "archive/my set/Test"), SPLITS),
        (split_folders("data/train/images", "data/test/images"), SPLITS),
    ],
)
def test_usual_names_of_splits_are_splits(
    tmp_path: Path, names: list[str], expected: Counter[tuple[str, str]]
) -> None:
    assert read(make(tmp_path, *names)) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["ant/1.png", "bee/1.png", "bee/2.png"],
        ["insects/ant/1.png", "insects/bee/1.png", "insects/bee/2.png"],
        ["archive/insects/ant/1.png", "archive/insects/bee/1.png", "archive/insects/bee/2.png"],
        ["ant/1.png", "bee/1.png", "bee/2.png", "__MACOSX/ant/._1.png", "doc/about.txt"],
        ["ant/1.png", "ant/about.txt", "bee/1.png", "bee/2.png", "labels.csv"],
    ],
)
def test_folders_of_images_are_classes(tmp_path: Path, names: list[str]) -> None:
    assert read(make(tmp_path, *names)) == {("ant", ""): 1, ("bee", ""): 2}


def test_an_image_outside_any_class_folder_has_no_class(tmp_path: Path) -> None:
    assert read(make(tmp_path, "ant/1.png", "bee/1.png", "loose.png"))[("", "")] == 1


def test_a_class_named_like_a_split_is_a_class_among_others(tmp_path: Path) -> None:
    assert read(make(tmp_path, "train/1.png", "plane/1.png")) == {("train", ""): 1, ("plane", ""): 1}
    assert set(read(make(tmp_path, "test_ok/1.png", "test_bad/1.png"))) >= {("test_ok", ""), ("test_bad", "")}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["train/1.png", "test/1.png"],
            "data/test is named like a split, and holds 1 picture .*layout: CLASS",
        ),
        (
            [*split_folders("train"), "test/1.png", "test/2.png"],
            "data/test is a split, and holds 2 pictures out",
        ),
        (
            [*split_folders("train", "test"), "seg_pred/1.png"],
            "test, train next to seg_pred .1., .*not a split",
        ),
        (
            [*split_folders("train", "test"), "old/a/1.png"],
            "test, train next to old .1., which is not a split",
        ),
        (
            [*split_folders("train", "test"), "train/a/deep/2.png"],
            "train/a/deep .*SPLIT/CLASS .*SPLIT/./CLASS",
        ),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png"], "data/test and data/train hold diff.* .b only"),
        (split_folders("train", "val", "valid"), "both data/val and data/valid|both val and valid"),
        (split_folders("val", "test"), "split folders data/test, data/val but none for training"),
    ],
)
def test_splits_that_do_not_agree_are_an_error(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(make(tmp_path, *names))


@pytest.mark.parametrize(
    ("names", "outer", "inner"),
    [
        (
            split_folders("north", "south"),
            "2 classes, the outer folders: north .2., south .2.",
            "a .2., b .2.",
        ),
        (
            split_folders("part1", "part2", "part3"),
            "3 classes, the outer folders",
            "2 classes, the inner folders",
        ),
        (["cat/1.png", "cat/kitten/1.png", "dog/1.png"], "cat .2., dog .1.", "cat .1., dog .1., kitten .1."),
        (["cat/persian/1.png", "dog/pug/1.png", "dog/boxer/1.png"], "cat .1., dog .2.", "boxer .1., persian"),
        (split_folders("wrap/north", "wrap/south"), "north .2., south .2.", "a .2., b .2."),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked(
    tmp_path: Path, names: list[str], outer: str, inner: str
) -> None:
    with pytest.raises(DataError, match="can be read in two ways") as caught:
        read(make(tmp_path, *names))
    assert "data.layout: " in str(caught.value)
    for reading in (outer, inner):
        with pytest.raises(DataError, match=reading):
            read(tmp_path)


def test_the_line_that_an_error_names_settles_it(tmp_path: Path) -> None:
    make(tmp_path, *split_folders("north", "south"))
    assert read(tmp_path, "CLASS") == {("north", ""): 2, ("south", ""): 2}
    assert read(tmp_path, "*/CLASS") == {("a", ""): 2, ("b", ""): 2}


def test_a_layout_may_name_the_split_below_the_class(tmp_path: Path) -> None:
    make(tmp_path, "a/train/1.png", "a/test/1.png", "b/train/1.png", "b/test/1.png")
    assert read(tmp_path, "CLASS/SPLIT") == SPLITS
    make(tmp_path, "b/other/1.png")
    with pytest.raises(DataError, match="other is not the name of a split, as data.layout CLASS/SPLIT"):
        read(tmp_path, "CLASS/SPLIT")


def test_files_above_the_class_folder_have_no_class(tmp_path: Path) -> None:
    make(tmp_path, "north/a/1.png", "north/b/1.png", "north/2.png")
    assert read(tmp_path, "*/CLASS")[("", "")] == 1


@pytest.mark.parametrize(
    "names",
    [
        ["ant/1.png", "bee/1.png", "wasp/"],
        ["ant/1.png", "bee/1.png", "wasp/.DS_Store"],
        ["insects/ant/1.png", "insects/bee/1.png", "insects/wasp/"],
        [*split_folders("train", "test"), "train/wasp/", "test/wasp/"],
    ],
)
def test_an_empty_class_folder_is_named(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(DataError, match="wasp is an empty class folder"):
        read(make(tmp_path, *names))


@pytest.mark.parametrize(
    "pair", [("Cat", "cat"), ("cat", "cat "), ("caf\u00e9", "cafe\u0301"), ("ca t", "ca  t")]
)
def test_classes_that_people_take_for_one_are_an_error(tmp_path: Path, pair: tuple[str, str]) -> None:
    with pytest.raises(DataError, match="differ only by case, blanks or the form") as caught:
        read(make(tmp_path, *(f"{name}/1.png" for name in pair)))
    assert all(repr(name) in str(caught.value) for name in pair)


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images; put images there"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"holds no images \(1 files that are not images\)"):
        read(make(tmp_path, "about.txt"))
    with pytest.raises(DataError, match="there is no folder"):
        read(tmp_path / "data")


@pytest.mark.parametrize(
    "layout", ["class", "SPLIT", "CLASS/CLASS", "CLASS/", "x/CLASS", "SPLIT/SPLIT/CLASS"]
)
def test_a_layout_that_is_none_is_refused(layout: str) -> None:
    with pytest.raises(ValueError, match="such as CLASS, SPLIT/CLASS"):
        Data(source=None, settle_seconds=0, max_removed=0, layout=layout, labels=None)
    with pytest.raises(ValueError, match="exclude each other"):
        Data(source=None, settle_seconds=0, max_removed=0, layout="CLASS", labels="labels.csv")
