"""A source's images are brought into data/, except those still arriving, and nothing is lost."""

import io
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pytest
from PIL import Image

from headstart.errors import DataError
from headstart.ground.paths import cache_folder
from headstart.sources import ingestion
from headstart.sources.ingestion import Brought, bring

OLD = time.time() - 7200


def picture(shade: int, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, shade, shade)).save(file, form)
    return file.getvalue()


def put(path: Path, content: bytes, modified: float = OLD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified, modified))


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Brought]:
    """Bring the images of the folder `source`, as a flow does."""

    def call(source: str | None = None, max_removed: float = 0.5) -> Brought:
        return bring(source or str(tmp_path / "source"), tmp_path / "data", 60, max_removed)

    return call


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_table_of_labels_is_brought_at_once(tmp_path: Path, look: Callable[..., Brought]) -> None:
    put(tmp_path / "source" / "1.png", picture(1))
    put(tmp_path / "source" / "labels.csv", b"path,label\n1.png,ok\n", time.time() - 120)
    put(tmp_path / "source" / "cut.png", picture(2)[:40], time.time() - 120)
    found = look()
    assert (found.new, found.waiting) == (("1.png", "labels.csv"), ("cut.png",))


def test_new_changed_and_removed_images_are_told_apart(tmp_path: Path, look: Callable[..., Brought]) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    for index in range(4):
        put(source / "ok" / f"{index}.png", picture(index))
    put(data / "ok" / "0.png", picture(0))  # the same as the source's
    found = look()
    assert (found.new, found.changed, found.removed) == (("ok/1.png", "ok/2.png", "ok/3.png"), (), ())
    assert names(data) == names(source)
    assert not look().anything
    put(source / "ok" / "1.png", picture(9), OLD + 5)
    put(source / "bad" / "new name é.png", picture(7))
    (source / "ok" / "2.png").unlink()
    os.utime(source / "ok" / "3.png", (OLD + 9, OLD + 9))  # touched, with the same content
    found = look()
    assert found == Brought(("bad/new name é.png",), ("ok/1.png",), ("ok/2.png",), ())
    assert (data / "ok/1.png").read_bytes() == picture(9)
    assert found.sentence() == "1 new, 1 changed, 1 removed"


def test_what_is_still_arriving_is_left_for_next_time(tmp_path: Path, look: Callable[..., Brought]) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    put(source / "ok" / "whole.png", picture(1))
    put(source / "ok" / "now.png", picture(2), time.time())
    put(source / "ok" / "half.jpg", picture(3, "JPEG")[:200])
    put(source / "ok" / "download.png.part", picture(4))
    put(source / "ok" / ".hidden.png", picture(5))
    found = look()
    assert found.new == ("ok/whole.png",)
    assert found.waiting == ("ok/half.jpg", "ok/now.png")
    assert names(data) == {"ok/whole.png"}
    assert found.sentence() == "1 new, 0 changed, 0 removed; 2 still arriving, left for next time"
    put(source / "ok" / "half.jpg", picture(3, "JPEG"))
    put(source / "ok" / "now.png", picture(2))
    assert look().new == ("ok/half.jpg", "ok/now.png")


def test_a_half_arrived_change_leaves_the_image_as_it_was(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    put(source / "ok" / "a.jpg", picture(1, "JPEG"))
    look()
    put(source / "ok" / "a.jpg", picture(200, "JPEG")[:200], OLD + 5)
    assert look().waiting == ("ok/a.jpg",)
    assert (data / "ok/a.jpg").read_bytes() == picture(1, "JPEG")


def test_a_damaged_file_that_is_a_day_old_is_brought_for_validation_to_name(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    put(tmp_path / "source/ok/a.jpg", b"no picture", OLD - 24 * 3600)
    assert look().new == ("ok/a.jpg",)


def test_a_source_that_lost_most_images_changes_nothing(tmp_path: Path, look: Callable[..., Brought]) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    for index in range(4):
        put(source / "ok" / f"{index}.png", picture(index))
    look()
    for index in range(3):
        (source / "ok" / f"{index}.png").unlink()
    put(source / "ok" / "new.png", picture(9))
    with pytest.raises(DataError, match=r"lacks 3 of the 4 images .*first: ok/0.png.*max_removed"):
        look()
    assert names(data) == {f"ok/{index}.png" for index in range(4)}
    assert look(max_removed=0.8).removed == ("ok/0.png", "ok/1.png", "ok/2.png")


def test_a_source_that_cannot_be_read_or_is_empty_is_named(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    put(tmp_path / "data/ok/a.png", picture(1))
    with pytest.raises(DataError, match="holds no files"):
        look(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="cannot be read: ValueError: Protocol not known: ftpx"):
        look("ftpx://host/images")
    assert names(tmp_path / "data") == {"ok/a.png"}


def test_a_url_is_a_source_too(tmp_path: Path, look: Callable[..., Brought]) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("ok/a.png", "bad/b.png"):
        memory.pipe(f"/bucket/images/{name}", picture(3))
    found = bring("memory://bucket/images", tmp_path / "data", 0, 0.5)
    assert found.new == ("bad/b.png", "ok/a.png")
    assert names(tmp_path / "data") == {"ok/a.png", "bad/b.png"}
    assert look("memory://bucket/images").anything is False


def test_a_class_whose_images_are_all_gone_leaves_no_folder(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    for name in ("ok/0.png", "ok/1.png", "ok/deep/2.png", "bad/3.png"):
        put(source / name, picture(len(name)))
    look()
    (source / "bad" / "3.png").unlink()
    (source / "ok" / "deep" / "2.png").unlink()
    assert look().removed == ("bad/3.png", "ok/deep/2.png")
    assert {path.name for path in data.rglob("*") if path.is_dir()} == {"ok"}


def test_a_file_that_changed_in_data_is_brought_again(tmp_path: Path, look: Callable[..., Brought]) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    put(source / "ok" / "0.png", picture(0))
    look()
    put(data / "ok" / "0.png", picture(5), OLD + 7)  # as `dvc checkout` of another version does
    assert look().changed == ("ok/0.png",)
    assert (data / "ok" / "0.png").read_bytes() == picture(0)
    os.utime(data / "ok" / "0.png")
    assert not look().anything


@pytest.mark.parametrize("inside", [".", "data", "data/ok", ".."])
def test_a_source_that_overlaps_the_data_is_refused(
    inside: str, tmp_path: Path, look: Callable[..., Brought]
) -> None:
    put(tmp_path / "data" / "ok" / "0.png", picture(0))
    with pytest.raises(DataError, match="overlap"):
        look(str(tmp_path / "data" / inside) if inside == ".." else str(tmp_path / inside))
    assert names(tmp_path / "data") == {"ok/0.png"}


def test_a_copy_that_was_killed_leaves_nothing_that_dvc_would_take_for_data(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    put(tmp_path / "source" / "ok" / "0.png", picture(0))
    put(tmp_path / "data" / ".arriving" / "file", b"half of a picture")
    assert look().new == ("ok/0.png",)
    assert names(tmp_path / "data") == {"ok/0.png"}
    assert not (tmp_path / "data" / ".arriving").exists()


def test_a_link_of_dvc_is_replaced_and_never_written_into(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    source, data, cache = tmp_path / "source", tmp_path / "data", tmp_path / "cache"
    for name in ("hard", "symbolic"):
        put(cache / name, picture(1))
        put(source / "ok" / f"{name}.png", picture(2))
    (data / "ok").mkdir(parents=True)
    (data / "ok" / "hard.png").hardlink_to(cache / "hard")
    (data / "ok" / "symbolic.png").symlink_to(cache / "symbolic")
    assert look().changed == ("ok/hard.png", "ok/symbolic.png")
    assert {(data / "ok" / f"{name}.png").read_bytes() for name in ("hard", "symbolic")} == {picture(2)}
    assert {(cache / name).read_bytes() for name in ("hard", "symbolic")} == {picture(1)}


def test_linked_folders_are_refused(tmp_path: Path, look: Callable[..., Brought]) -> None:
    source = tmp_path / "source"
    put(source / "ok" / "a\nb é.png", picture(1))
    assert look().new == ("ok/a\nb é.png",)
    (source / "linked").symlink_to(source / "ok")
    with pytest.raises(DataError, match="linked is a link to a folder"):
        look()
    assert names(tmp_path / "data") == {"ok/a\nb é.png"}


def test_what_cannot_be_copied_is_named_and_the_rest_arrives(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    source = tmp_path / "source"
    for name in ("0.png", "pipe.png"):
        put(source / "ok" / name, picture(0))
    look()
    (source / "ok" / "pipe.png").unlink()
    os.mkfifo(source / "ok" / "pipe.png")  # what was a file may be a pipe now: its copy stays
    (source / "ok" / "zero.png").symlink_to("/dev/zero")
    (source / "ok" / "loop.png").symlink_to("loop.png")
    (source / "ok" / "gone.png").symlink_to("nowhere.png")
    (source / "ok" / "linked.png").symlink_to("1.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "ok" / "socket"))
    put(Path(os.fsdecode(os.fsencode(source / "ok") + b"/\xff.png")), picture(2))
    put(source / "ok" / "1.png", picture(1))
    found = look()
    assert (found.new, found.removed, found.waiting) == (("ok/1.png", "ok/linked.png"), (), ())
    assert dict(found.refused) == {
        "ok/pipe.png": "is a pipe, expected a file",
        "ok/zero.png": "is a device, expected a file",
        "ok/loop.png": "Too many levels of symbolic links",
        "ok/gone.png": "No such file or directory",
        "ok/socket": "is a socket, expected a file",
        r"ok/\udcff.png": "its name is not UTF-8; rename it (`convmv` renames many)",
    }
    assert "; 6 cannot be copied (ok/gone.png: No such file or directory, ok/loop.png" in found.sentence()
    assert names(tmp_path / "data") == {"ok/0.png", "ok/1.png", "ok/linked.png", "ok/pipe.png"}


def test_a_file_that_grows_while_it_is_copied_is_left_for_next_time(
    tmp_path: Path, look: Callable[..., Brought], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "source" / "ok" / "0.png", picture(0))
    copied: list[int] = []

    def endless(source: object, written: BinaryIO, size: int) -> None:
        copy_bytes(Endless(), written, size)
        copied.append(written.tell() - size)

    copy_bytes = ingestion._copy_bytes
    monkeypatch.setattr(ingestion, "_copy_bytes", endless)
    assert look().waiting == ("ok/0.png",)
    assert copied == [1]


class Endless(io.RawIOBase):
    """A file that is written faster than it is read."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


@pytest.mark.parametrize(
    "damage", [b"", b'{"ok/0.png": {"sou', b"[]", b'{"ok/0.png": {"here": 1}}', b"\xff\xfe"]
)
def test_a_half_written_record_of_the_last_check_is_made_again(
    damage: bytes, tmp_path: Path, look: Callable[..., Brought], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    put(tmp_path / "source" / "ok" / "0.png", picture(0))
    look()
    [state] = (cache_folder() / "sources").glob("*.json")
    whole = json.loads(state.read_bytes())["ok/0.png"]
    state.write_bytes(damage)
    assert not look().anything
    assert json.loads(state.read_bytes())["ok/0.png"] | {"here": 0} == whole | {"here": 0}


def test_a_folder_that_cannot_be_listed_is_an_error_and_nothing_is_removed(
    tmp_path: Path, look: Callable[..., Brought], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("ok", "secret"):
        put(tmp_path / "source" / folder / "0.png", picture(len(folder)))
    look()
    scandir = os.scandir
    for place in ("source", "data"):
        closed = str(tmp_path / place / "secret")  # root may list every folder

        def refusing(path: Any, closed: str = closed) -> Any:
            if os.fspath(path) == closed:
                raise PermissionError(13, "Permission denied", closed)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)
        with pytest.raises(
            DataError, match=f"Permission denied.*{place}/secret|{place}/secret cannot be listed"
        ):
            look()
    monkeypatch.undo()
    assert names(tmp_path / "data") == {"ok/0.png", "secret/0.png"}


def test_a_file_may_become_a_folder_and_a_clock_that_is_wrong_holds_nothing_back(
    tmp_path: Path, look: Callable[..., Brought]
) -> None:
    source = tmp_path / "source"
    put(source / "a", picture(1))
    put(source / "ok" / "0.png", picture(2), time.time() + 1e7)
    look()
    (source / "a").unlink()
    put(source / "a" / f"{'n' * 240}.png", picture(3))
    assert look().new == (f"a/{'n' * 240}.png",)
    assert (tmp_path / "data" / "ok" / "0.png").exists()


def test_a_listing_that_leaves_the_source_is_refused(
    tmp_path: Path, look: Callable[..., Brought], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    listed = {"/evil/images/../../x.png": {"size": 1}}
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: listed)  # no real store would list such a name
    with pytest.raises(DataError, match="lies outside of it"):
        look("memory://evil/images")
    assert not (tmp_path / "data").exists()
