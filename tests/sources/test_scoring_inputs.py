"""Inputs of batch scoring: folders, patterns and lists."""

from pathlib import Path

import pandas as pd
import pytest
from projects import draw_images

from headstart.errors import DataError
from headstart.sources.scoring_inputs import find_inputs, mark_of


@pytest.fixture
def images(tmp_path: Path) -> Path:
    draw_images(tmp_path / "images", {"dark": 2, "light": 1})
    (tmp_path / "images" / ".hidden").write_text("")
    (tmp_path / "images" / "Thumbs.db").write_text("")
    return tmp_path / "images"


def test_a_folder_and_a_pattern_give_sorted_files_but_not_the_result_itself(images: Path) -> None:
    (images / "out.parquet").write_text("")
    (images / "out.parquet.parts").mkdir()
    (images / "out.parquet.parts" / "00000000.parquet").write_text("")
    own = (images / "out.parquet", images / "out.parquet.parts")
    names = [f"{images}/{name}" for name in ("dark/000.png", "dark/001.png", "light/000.png")]
    assert [found.path for found in find_inputs(str(images), own)] == names
    assert [found.location for found in find_inputs(f"{images}/*/000.png")] == [names[0], names[2]]
    assert [found.path for found in find_inputs(names[0])] == names[:1]


@pytest.mark.parametrize("kind", ["txt", "csv", "parquet"])
def test_a_list_is_taken_as_it_is_and_seen_from_its_folder(images: Path, kind: str) -> None:
    names = ["dark/001.png", "s3://bucket/a.png", "/elsewhere/b, c.png", "dark/001.png"]
    path = images / f"list.{kind}"
    table = pd.DataFrame({"id": range(4), "path": names})
    if kind == "txt":
        path.write_text("\n".join([*names, "", ""]))
    elif kind == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    found = find_inputs(str(path))
    assert [each.path for each in found] == names
    assert [each.location for each in found] == [str(images / names[0]), *names[1:3], str(images / names[0])]


def test_nothing_to_score_is_an_error_that_names_it(images: Path) -> None:
    (images / "empty.txt").write_text("\n")
    (images / "other.csv").write_text("file,label\na,b\n")
    (images / "broken.parquet").write_text("no table")
    for source, message in (
        (str(images / "none"), "there is no file, folder or match for"),
        ("s3://bucket/folder", "write a list of its files"),
        (str(images / "*.gif"), "matches no file"),
        (str(images / "empty.txt"), "names no image"),
        (str(images / "other.csv"), "has no column `path`; it has file, label"),
        (str(images / "broken.parquet"), "cannot be read"),
    ):
        with pytest.raises(DataError, match=message.replace("*", r"\*")):
            find_inputs(source)


def test_a_file_that_changes_has_another_mark(images: Path) -> None:
    path = images / "dark/000.png"
    before = mark_of(str(path))
    path.write_bytes(path.read_bytes() + b"more")
    assert mark_of(str(path)) != before
    assert mark_of(str(images / "none.png")) is None
    assert mark_of("s3://bucket/a.png") is None


def test_a_loop_of_links_in_a_folder_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("a.png")
    assert [found.path for found in find_inputs(str(tmp_path), [tmp_path / "out"])] == [f"{tmp_path}/a.png"]
