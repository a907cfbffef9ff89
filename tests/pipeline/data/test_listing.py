"""Files that count as images, and those that do not."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from odd_files import make_odd_files
from PIL import Image

from headstart.errors import DataError
from headstart.pipeline.data.listing import list_folder
from headstart.pipeline.data.reading import read_file


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_hidden_files_and_leavings_of_systems_do_not_count(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/1.png", "a/.DS_Store", "a/Thumbs.db", ".git/x.png", "a/desktop.ini", "__MACOSX/a/._1.png"
    )
    found = list_folder(tmp_path)
    assert (found.images, found.others, found.bare) == (["a/1.png"], [], [])


def test_a_file_counts_by_its_name_or_by_its_content(tmp_path: Path) -> None:
    touch(tmp_path, "a/damaged.JPG", "a/drawing.svg", "a/phone.heic", "a/1.xml", "labels.csv", "a/video.mpg")
    (tmp_path / "README.dataset.txt").write_text("about")
    (tmp_path / "a/1.json").write_text("{}")
    for name in ("a/nameless", "a/wrong.txt"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, "PNG")
    (tmp_path / "a/cut.dat").write_bytes((tmp_path / "a/nameless").read_bytes()[:-14])
    found = list_folder(tmp_path)
    assert found.images == [
        "a/cut.dat",
        "a/damaged.JPG",
        "a/drawing.svg",
        "a/nameless",
        "a/phone.heic",
        "a/wrong.txt",
    ]
    assert found.others == ["README.dataset.txt", "a/1.json", "a/1.xml", "a/video.mpg", "labels.csv"]


def test_folders_without_anything_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/.hidden", "c/notes.txt")
    (tmp_path / "d/e").mkdir(parents=True)
    assert list_folder(tmp_path).bare == ["b", "d/e"]


def test_a_name_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / os.fsdecode(b"bad\xff.png")).touch()
    with pytest.raises(DataError, match=r"bad\\xff\.png' is not UTF-8; rename"):
        list_folder(tmp_path)
    assert len(list_folder(tmp_path, is_versioned=False).images) == 2


def test_links_that_lead_nowhere_count_and_pipes_only_by_their_names(tmp_path: Path) -> None:
    make_odd_files(tmp_path / "a")
    (tmp_path / "a" / "loop").symlink_to("loop")
    for name in ("a/pipe", "notes.xml"):
        os.mkfifo(tmp_path / name)
    found = list_folder(tmp_path)
    assert found.images == [
        "a/device.png",
        "a/gone.png",
        "a/good.png",
        "a/loop",
        *(f"a/{name}.png" for name in ("loop", "pipe", "socket")),
    ]
    assert found.others == ["a/pipe", "notes.xml"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.png", "secret/2.png")
    scandir = os.scandir

    def refusing(path: Path) -> Any:
        if path.name == "secret":  # root may list every folder
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match="the folder .*/secret cannot be listed: Permission denied; make it"):
        list_folder(tmp_path)


def test_a_linked_folder_is_an_error_and_a_linked_file_is_not(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.png", "elsewhere/2.png")
    (tmp_path / "data/a/2.png").symlink_to(tmp_path / "elsewhere/2.png")
    assert list_folder(tmp_path / "data").images == ["a/1.png", "a/2.png"]
    (tmp_path / "data/b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="data/b is a link to a folder .*elsewhere"):
        list_folder(tmp_path / "data")
    assert list_folder(tmp_path / "data", is_versioned=False).images == ["a/1.png", "a/2.png", "b/2.png"]


def test_a_link_to_a_folder_above_is_an_error_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert list_folder(tmp_path, is_versioned=False).images == ["a/1.png", "a/loop"]
    with pytest.raises(DataError, match="is a folder, expected a file"):
        read_file(tmp_path / "a" / "loop")


def test_a_loop_of_links_counts_as_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a/2.png").symlink_to("2.png")
    assert list_folder(tmp_path).images == ["a/1.png", "a/2.png"]


@pytest.mark.skipif(shutil.which("setfacl") is None and os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_counts(tmp_path: Path) -> None:
    touch(tmp_path, "a/secret")
    (tmp_path / "a/secret").chmod(0)
    assert list_folder(tmp_path).images == ["a/secret"]
