"""Labelled images join a source where those of their class lie."""

from pathlib import Path

import pytest
from projects import draw_images

from headstart.errors import DataError
from headstart.sources.adding import add_labelled


@pytest.fixture
def new(tmp_path: Path) -> list[Path]:
    draw_images(tmp_path / "new", {"any": 2}, seed=9)
    return sorted((tmp_path / "new").rglob("*.png"))


def test_images_join_the_folders_of_their_class_once(tmp_path: Path, new: list[Path]) -> None:
    source = tmp_path / "source"
    draw_images(source, {"dark": 2, "light": 2})
    found = add_labelled(str(source), [(new[0], "dark"), (new[1], "dusk")], None, None)
    assert [path.partition("/")[0] for path in found.new] == ["dark", "dusk"]
    assert (source / found.new[0]).read_bytes() == new[0].read_bytes()
    again = add_labelled(str(source), [(new[0], "dark")], None, None)
    assert (again.new, again.there) == ((), 1)
    with pytest.raises(DataError, match=r"under another class.*\(light\); move them by hand"):
        add_labelled(str(source), [(new[0], "light")], None, None)
    assert not list(source.rglob("*.part"))


@pytest.mark.parametrize("layout", [None, "SPLIT/CLASS"])
def test_with_splits_they_join_the_training_images(
    tmp_path: Path, new: list[Path], layout: str | None
) -> None:
    for split in ("training", "test"):
        draw_images(tmp_path / "source" / split, {"dark": 2, "light": 2})
    found = add_labelled(str(tmp_path / "source"), [(new[0], "dark")], layout, None)
    assert [path.rpartition("/")[0] for path in found.new] == ["training/dark"]


def test_with_groups_they_lie_in_the_folder_of_the_class(tmp_path: Path, new: list[Path]) -> None:
    draw_images(tmp_path / "source/dark", {"one": 1})
    draw_images(tmp_path / "source/light", {"one": 1})
    found = add_labelled(str(tmp_path / "source"), [(new[0], "light")], "CLASS", None)
    assert [path.rpartition("/")[0] for path in found.new] == ["light"]


def test_a_table_gains_rows_in_the_training_split(tmp_path: Path, new: list[Path]) -> None:
    source = tmp_path / "source"
    draw_images(source, {"all": 2})
    table = source / "labels.csv"
    table.write_text("path,label,split,site\nall/000.png,dark,train,north\nall/001.png,light,test,south\n")
    found = add_labelled(str(source), [(new[0], "dark")], None, "labels.csv")
    [path] = found.new
    assert table.read_text().splitlines()[-1] == f"{path},dark,train,"
    assert (source / path).read_bytes() == new[0].read_bytes()
    assert add_labelled(str(source), [(new[0], "dark")], None, "labels.csv").there == 1
    with pytest.raises(DataError, match="lists images under another class"):
        add_labelled(str(source), [(new[0], "light")], None, "labels.csv")


def test_it_works_behind_a_url(tmp_path: Path, new: list[Path]) -> None:
    draw_images(tmp_path / "source", {"dark": 1, "light": 1})
    found = add_labelled(f"file://{tmp_path}/source", [(new[0], "dark")], None, None)
    assert (tmp_path / "source" / found.new[0]).is_file()


@pytest.mark.parametrize("label", ["..", ".hidden", "a/b", "a\\b", "Dark"])
def test_a_class_that_the_source_would_lose_or_mistake_is_refused(
    tmp_path: Path, new: list[Path], label: str
) -> None:
    source = tmp_path / "source"
    draw_images(source, {"dark": 1, "light": 1})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="name of a folder|differ only by case"):
        add_labelled(str(source), [(new[0], label)], None, None)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_new_class_among_splits_is_refused(tmp_path: Path, new: list[Path]) -> None:
    for split in ("train", "test"):
        draw_images(tmp_path / "source" / split, {"dark": 2, "light": 2})
    with pytest.raises(DataError, match="has splits, and no training images of the class dusk"):
        add_labelled(str(tmp_path / "source"), [(new[0], "dusk")], None, None)


def test_copies_with_different_labels_are_refused(tmp_path: Path, new: list[Path]) -> None:
    draw_images(tmp_path / "source", {"dark": 1, "light": 1})
    given = [(new[0], "dark"), (new[0], "light")]
    with pytest.raises(DataError, match="are labelled dark and light"):
        add_labelled(str(tmp_path / "source"), given, None, None)
