"""Files that look as they did are not read again; whatever changes their bytes shows."""

import hashlib
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.pipeline.store import seen_files
from headstart.pipeline.store.seen_files import FILE, MOST, SeenFiles, look_at
from headstart.pipeline.store.store import Store

TICKS = 0.02  # s, some of the file system's clock


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_files, "SETTLED_NS", 0)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[SeenFiles]:
    with Store(tmp_path / "store", FILE, MOST) as store:
        yield SeenFiles(store)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(seen: SeenFiles, *paths: Path) -> None:
    """Read files some time after they were written."""
    time.sleep(TICKS)
    looks = [look for path in paths if (look := look_at(path))]
    seen.remember({look: digest(look.path) for look in looks})


def known(seen: SeenFiles, *paths: Path) -> list[str | None]:
    return seen.digests([look_at(path) for path in paths])


@pytest.fixture
def file(tmp_path: Path, seen: SeenFiles) -> Path:
    """A file that was read."""
    path = tmp_path / "data" / "1.jpg"
    path.parent.mkdir()
    path.write_bytes(b"first")
    read(seen, path)
    assert known(seen, path) == [digest(path)]
    return path


def test_a_path_is_asked_for_in_any_folder(
    file: Path, seen: SeenFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent.parent)
    assert known(seen, Path("data/1.jpg"), Path("data/2.jpg"), Path("data")) == [digest(file), None, None]


def test_changed_bytes_with_their_old_time_are_read(file: Path, seen: SeenFiles) -> None:
    before = file.stat()
    file.write_bytes(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert known(seen, file) == [None]


def test_a_file_put_in_its_place_is_read(file: Path, seen: SeenFiles) -> None:
    other = file.with_name("other.jpg")
    other.write_bytes(b"other")
    shutil.copystat(file, other)  # as `cp -p` and rsync do
    other.replace(file)
    assert known(seen, file) == [None]


def test_a_link_that_leads_to_another_file_is_read(file: Path, seen: SeenFiles) -> None:
    link, other = file.with_name("link.jpg"), file.with_name("other.jpg")
    link.symlink_to(file)
    other.write_bytes(b"other")
    shutil.copystat(file, other)
    read(seen, link)
    assert known(seen, link) == [digest(file)]
    link.unlink()
    link.symlink_to(other)
    assert known(seen, link) == [None]


def test_a_touched_file_is_read_once(file: Path, seen: SeenFiles) -> None:
    os.utime(file)
    assert known(seen, file) == [None]
    read(seen, file)
    assert known(seen, file) == [digest(file)]


def test_a_file_that_changes_while_it_is_read_is_read_again(file: Path, seen: SeenFiles) -> None:
    look = look_at(file)
    assert look
    file.write_bytes(b"second")
    seen.remember({look: digest(file)})
    assert known(seen, file) == [None]
    look = look_at(file)
    assert look
    file.unlink()
    seen.remember({look: "ab" * 32})
    assert known(seen, file) == [None]


def test_a_file_that_was_just_written_is_read_again(
    file: Path, seen: SeenFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next write could leave the same times."""
    monkeypatch.setattr(seen_files, "SETTLED_NS", int(3600e9))
    file.write_bytes(b"second")
    read(seen, file)
    assert known(seen, file) == [None]


def test_two_folders_with_the_same_names_are_two_files(file: Path, seen: SeenFiles, tmp_path: Path) -> None:
    other = tmp_path / "other" / "data" / file.name
    other.parent.mkdir(parents=True)
    other.write_bytes(b"other")
    shutil.copystat(file, other)
    assert known(seen, file, other) == [digest(file), None]
    read(seen, other)
    assert known(seen, file, other) == [digest(file), digest(other)]


def test_a_damaged_row_is_named_and_the_file_is_read(
    file: Path, seen: SeenFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(tmp_path / "store" / FILE) as database:
        [(row,)] = database.execute("SELECT row FROM rows").fetchall()
        database.execute("UPDATE rows SET row = ?", (row[:-1] + bytes([row[-1] ^ 1]),))
    database.close()
    with caplog.at_level(logging.WARNING):
        assert known(seen, file) == [None]
    assert "1 row is damaged" in caplog.text
