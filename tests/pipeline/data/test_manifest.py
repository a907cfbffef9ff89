"""The manifest: one row per file, cached by the file's digest."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from headstart.errors import DataError, HeadstartError
from headstart.pipeline.data import manifest
from headstart.pipeline.data.labels import read_labels
from headstart.pipeline.data.layout import read_folders
from headstart.pipeline.data.listing import list_folder
from headstart.pipeline.data.manifest import (
    build_manifest,
    inspect,
    read_checked,
    read_manifest,
)
from headstart.pipeline.data.splits import assign_splits
from headstart.pipeline.store import seen_files
from headstart.pipeline.store.seen_files import SeenFiles
from headstart.pipeline.store.store import Store

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}
RECIPE = "cd" * 32


def save(path: Path, colour: tuple[int, int, int] = (1, 2, 3), **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 50), colour).save(path, **options)


def build(data: Path) -> pd.DataFrame:
    with Store(data.parent / "store") as store:
        found = read_folders(list_folder(data).images, (), None)
        return build_manifest(data, found, store, RECIPE, SeenFiles(store))[0]


def test_a_row_says_what_is_in_the_file(tmp_path: Path) -> None:
    save(tmp_path / "data/a/1.png")
    save(tmp_path / "data/a/same.bmp")
    (tmp_path / "data/a/text.jpg").write_text("no image")
    table = build(tmp_path / "data").set_index("path")
    png = table.loc["a/1.png"]
    assert (png.label, png.format, png["mode"], png.width, png.height, png.frames, png.error) == (
        "a", "PNG", "RGB", 40, 50, 1, "",
    )  # fmt: skip
    assert png.pixels == table.loc["a/same.bmp"].pixels != ""
    assert png.sha256 != table.loc["a/same.bmp"].sha256
    assert table.loc["a/text.jpg"].error == "not an image format that Headstart reads"
    assert table.loc["a/text.jpg"].pixels == ""


def test_a_broken_link_is_a_row_with_its_error(tmp_path: Path) -> None:
    save(tmp_path / "data/a/1.png")
    (tmp_path / "data/a/link.png").symlink_to(tmp_path / "gone.png")
    assert "there is no such file" in build(tmp_path / "data").set_index("path").loc["a/link.png"].error


def test_a_file_is_decoded_once_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "data/a/1.png")
    first = build(tmp_path / "data")
    monkeypatch.setattr(manifest, "inspect", lambda data: pytest.fail("decoded again"))
    pd.testing.assert_frame_equal(build(tmp_path / "data"), first)


def test_work_follows_the_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 files 3 are new, 1 is a copy, 1 touched and 1 changed; deleting the store changes no row."""
    data, counts = tmp_path / "data", Counter[str]()
    monkeypatch.setattr(seen_files, "SETTLED_NS", 0)
    for name in ("read_file", "inspect"):
        monkeypatch.setattr(manifest, name, counted(getattr(manifest, name), name, counts))
    for number in range(300):
        save(data / f"a/{number}.png", (number % 256, number // 256, 0))
    time.sleep(0.02)
    build(data)
    assert counts == {"read_file": 300, "inspect": 300}
    counts.clear()
    build(data)
    assert counts == {}
    for number in range(3):
        save(data / f"b/{number}.png", (9, 9, number))
    shutil.copy2(data / "a/0.png", data / "b/copy.png")
    os.utime(data / "a/1.png")
    save(data / "a/2.png", (9, 9, 9))
    time.sleep(0.02)
    warm = build(data)
    assert counts == {"read_file": 6, "inspect": 4}
    shutil.rmtree(tmp_path / "store")
    pd.testing.assert_frame_equal(build(data), warm)


def counted(function: Callable[..., Any], name: str, counts: Counter[str]) -> Callable[..., Any]:
    def call(*arguments: object) -> Any:
        counts[name] += 1
        return function(*arguments)

    return call


def test_a_remembered_file_whose_facts_are_gone_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_files, "SETTLED_NS", 0)
    data = tmp_path / "data"
    save(data / "a/1.png")
    found = read_folders(["a/1.png"], (), None)
    time.sleep(0.02)
    with Store(tmp_path / "files") as files, Store(tmp_path / "1") as one, Store(tmp_path / "2") as two:
        tables = [build_manifest(data, found, rows, RECIPE, SeenFiles(files))[0] for rows in (one, two)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["error"].tolist() == [""]


def test_frames_of_an_animation_are_counted() -> None:
    import io

    file = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), (shade, 0, 0)) for shade in (0, 90, 200)]
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    assert inspect(file.getvalue())[0].frames == 3


def table(splits: list[str], excluded: list[str] | None = None) -> pd.DataFrame:
    digests = [f"{number:064x}" for number in range(len(splits))]
    return pd.DataFrame(
        {
            "path": digests,
            "label": "a",
            "pixels": digests,
            "group": "",
            "split": splits,
            "excluded": excluded or [""] * len(splits),
        }
    )


def test_splits_follow_the_pixels() -> None:
    splits = assign_splits(table([""] * 1000), FRACTIONS, 0)[0]
    assert 520 < (splits == "train").sum() < 680
    more = assign_splits(table([""] * 1500), FRACTIONS, 0)[0]
    assert more[:1000].tolist() == splits.tolist()


def test_a_missing_test_folder_is_drawn_from_train_and_val_stays(tmp_path: Path) -> None:
    splits = assign_splits(table(["train"] * 800 + ["val"] * 200), FRACTIONS, 0)[0]
    assert set(splits[800:]) == {"val"}
    assert set(splits[:800]) == {"train", "test"}
    assert 150 < (splits[:800] == "test").sum() < 250


def test_whole_split_folders_stay_as_they_are() -> None:
    names = ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    assert assign_splits(table(names), FRACTIONS, 0)[0].tolist() == names


def test_an_excluded_file_is_in_no_split() -> None:
    assert assign_splits(table(["", ""], ["", "is a GIF"]), FRACTIONS, 0)[0][1] == ""


def test_rows_are_packed_by_split_then_pixels(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "path": ["d", "c", "b", "a", "x"],
            "pixels": ["2", "9", "1", "2", "0"],
            "split": ["train", "test", "val", "train", ""],
            "excluded": ["", "", "", "", "bad"],
        }
    )
    frame.to_parquet(tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet")["path"].tolist() == ["a", "d", "b", "c"]


def test_a_file_that_changed_after_validation_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"1\.png changed after it was validated"):
        read_checked(tmp_path / "1.png", "0" * 64)
    with pytest.raises(DataError, match=r"cannot read .*gone\.png"):
        read_checked(tmp_path / "gone.png", "0" * 64)


@pytest.mark.parametrize("path", ["../evil.png", "/etc/passwd", "a/../../evil.png", ""])
def test_a_path_that_leads_out_of_the_data_is_not_followed(tmp_path: Path, path: str) -> None:
    table = pd.DataFrame({"path": ["a/1.png", path], "excluded": "", "split": "train", "pixels": "0"})
    table.to_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(HeadstartError, match="does not lead into data"):
        read_manifest(tmp_path / "manifest.parquet")


def test_further_columns_of_a_table_of_labels_are_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(2):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(data / f"{number}.png")
    (data / "labels.csv").write_text("path,label,site,camera\n0.png,cat, north ,c1\n")
    found = read_labels(data / "labels.csv", ["0.png", "1.png"])
    with Store(tmp_path / "store") as store:
        table, _ = build_manifest(data, found, store, RECIPE, SeenFiles(store))
    assert table["column:site"].tolist() == ["north", ""]
    assert table["column:camera"].tolist() == ["c1", ""]
