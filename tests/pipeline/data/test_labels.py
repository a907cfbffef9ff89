"""Tables of labels in place of folders."""

from pathlib import Path

import pandas as pd
import pytest

from headstart.errors import DataError
from headstart.pipeline.data.labels import read_labels

IMAGES = ("a.png", "b.png", "deep/c.png")


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_table_names_class_split_and_group(tmp_path: Path, bom: str) -> None:
    rows = (
        "path,label,split,group\na.png,cat,Train,g1\n./deep\\c.png,dog,validation,g2\nb.png,nan,testing,g1\n"
    )
    found = read_labels(write(tmp_path, bom + rows), IMAGES)
    assert [(each.path, each.label, each.split, each.group) for each in found] == [
        ("a.png", "cat", "train", "g1"),
        ("b.png", "nan", "test", "g1"),
        ("deep/c.png", "dog", "val", "g2"),
    ]


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"label": [1, 2, 1], "path": list(IMAGES), "other": [0, 0, 0]}).to_parquet(path)
    found = read_labels(path, IMAGES)
    assert [(each.label, each.split) for each in found] == [("1", ""), ("2", ""), ("1", "")]


def test_images_that_are_not_listed_have_no_label_and_missing_ones_stay(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, "path,label\na.png,cat\ngone.png,dog\n"), IMAGES)
    assert [(each.path, each.label) for each in found] == [
        ("a.png", "cat"),
        ("b.png", ""),
        ("deep/c.png", ""),
        ("gone.png", "dog"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.png,cat\n", "has no column path; it has file, label"),
        ("path,label\na.png,cat\na.png,dog\n", "lists a.png more than once"),
        ("path,label\n/a.png,cat\n", "the path '/a.png' is not one of a file in"),
        ("path,label\n../a.png,cat\n", "the path '../a.png'"),
        ("path,label\na.png,cat\nb.png,Cat\n", "'Cat' and 'cat' differ only"),
        (
            "path,label,split\na.png,cat,train\nb.png,dog,\n",
            "b.png has no split, although other rows have one",
        ),
        (
            "path,label,split\na.png,cat,train\nb.png,dog,trainn\n",
            "b.png has 'trainn' as the split; expected one",
        ),
        (
            "path,label,split\na.png,cat,test\nb.png,dog,test\n",
            "names the splits test but no row for training",
        ),
        ("", "cannot be read as a table"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(write(tmp_path, text), IMAGES)


def test_a_table_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no .*labels.csv, which data.labels names"):
        read_labels(tmp_path / "labels.csv", IMAGES)
