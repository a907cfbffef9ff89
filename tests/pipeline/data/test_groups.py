"""Groups stay together, in the split that the hash of their name decides."""

import pandas as pd
import pytest
from sections import section

from headstart.errors import DataError
from headstart.pipeline.data.groups import groups_of
from headstart.pipeline.data.layout import Found, read_folders
from headstart.pipeline.data.settings import Pattern
from headstart.pipeline.data.splits import assign_splits

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}
FRAMES = [
    f"{label}/object{number:02}_{frame}.png"
    for label in ("a", "b")
    for number in range(30)
    for frame in range(6)
]


def table(paths: list[str], groups: list[str], split: str = "") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": paths,
            "label": [path.split("/")[0] for path in paths],
            "pixels": [f"pixels of {path}" for path in paths],
            "group": groups,
            "split": split,
            "excluded": "",
        }
    )


def found(*paths: str) -> list[Found]:
    return read_folders(sorted(paths), (), "CLASS")


def test_a_regex_names_groups_by_its_first_group_or_all_of_it() -> None:
    images = found("a/x1_0.png", "a/x1_1.png", "b/x2_0.png")
    assert groups_of(images, Pattern(regex=r"(x\d+)_")) == ["x1", "x1", "x2"]
    assert groups_of(images, Pattern(regex=r"x\d+_")) == ["x1_", "x1_", "x2_"]
    with pytest.raises(
        DataError, match="'y' of split.group does not match a/x1_0.png, a/x1_1.png, b/x2_0.png; every"
    ):
        groups_of(images, Pattern(regex="y"))


def test_a_folder_below_the_class_is_a_group() -> None:
    assert groups_of(found("a/day1/0.png", "b/day1/deep/1.png", "b/day2/1.png"), "folder") == [
        "day1",
        "day1",
        "day2",
    ]
    with pytest.raises(DataError, match="there is no folder below the class of a/1.png"):
        groups_of(found("a/1.png", "a/day1/0.png"), "folder")


def test_a_column_of_the_table_names_groups() -> None:
    images = [Found("1.png", "a", "", "g"), Found("2.png", "b", "", "h"), Found("3.png", "", "")]
    assert groups_of(images, "column") == ["g", "h", ""]
    with pytest.raises(DataError, match="names no group for 4.png"):
        groups_of([*images, Found("4.png", "a", "")], "column")


def test_a_regex_that_does_not_compile_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        section("split", group={"regex": "("})


def test_a_group_is_in_one_split_and_never_moves() -> None:
    groups = groups_of(found(*FRAMES), Pattern(regex=r"./object\d+"))
    whole = table(sorted(FRAMES), groups)
    splits, placed = assign_splits(whole, FRACTIONS, 0)
    assert not placed
    assert whole.assign(split=splits).groupby("group")["split"].nunique().max() == 1
    assert set(splits) == set(FRACTIONS)
    half = whole[whole.index % 2 == 0]
    assert assign_splits(half, FRACTIONS, 0)[0].tolist() == splits[half.index].tolist()


def test_folders_that_tear_a_group_apart_are_an_error() -> None:
    own = table(["a/1.png", "a/2.png"], ["g", "g"]).assign(split=["train", "test"])
    with pytest.raises(
        DataError, match="group 'g' is in the splits test, train .a/2.png, a/1.png.: what was"
    ):
        assign_splits(own, FRACTIONS, 0)


@pytest.mark.parametrize(("classes", "images"), [(3, 10), (10, 12), (100, 10), (100, 20)])
def test_small_classes_have_an_image_in_every_split(classes: int, images: int) -> None:
    paths = [f"{label:03}/{number}.png" for label in range(classes) for number in range(images)]
    own = table(paths, [""] * len(paths))
    splits, placed = assign_splits(own, FRACTIONS, 0)
    counts = own.assign(split=splits).groupby("label")["split"].nunique()
    assert counts.min() == 3
    moved = {path for each in placed for path in each.paths}
    assert len(moved) <= 2 * classes
    # Every other image is where the hash puts it, and so is each once there are enough.
    alone = {path: assign_splits(own[own["path"] == path], FRACTIONS, 0)[0].iloc[0] for path in paths[:40]}
    assert all(splits[index] == alone[path] for index, path in enumerate(paths[:40]) if path not in moved)
    assert all(splits[paths.index(path)] == each.after for each in placed for path in each.paths)


def test_placed_images_return_once_a_class_has_enough() -> None:
    few = [f"a/{number}.png" for number in range(4)]
    many = [f"a/{number}.png" for number in range(200)]
    hashed = assign_splits(table(many, [""] * 200), FRACTIONS, 0)
    assert not hashed[1]
    splits, placed = assign_splits(table(few, [""] * 4), FRACTIONS, 0)
    assert set(splits) == set(FRACTIONS)
    moved = {path for each in placed for path in each.paths}
    assert [splits[i] == hashed[0][i] for i in range(4)] == [path not in moved for path in few]


def test_a_class_of_two_images_stays_as_it_is() -> None:
    splits, _ = assign_splits(table(["a/1.png", "a/2.png"], ["", ""]), FRACTIONS, 0)
    assert len(set(splits)) <= 2
