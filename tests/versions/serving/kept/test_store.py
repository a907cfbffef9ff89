"""The store of kept answers: added, read, labelled, removed; hostile names; two processes at once."""

import hashlib
import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstart.errors import HeadstartError
from headstart.pipeline.data.listing import is_named_like_an_image
from headstart.versions.serving.kept import database
from headstart.versions.serving.kept.image_files import extension_of
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def store(folder: Path) -> Iterator[KeptStore]:
    with KeptStore(folder, is_new=True) as made:
        yield made


def picture(level: int, form: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), (level, 0, 0)).save(file, form)
    return file.getvalue()


def row(request: str = "a", index: int = 0, image: bytes = b"", hours: float = 0, **changes: Any) -> Kept:
    answered = Kept(
        id=f"{request}:{index}",
        time=NOON + timedelta(hours=hours),
        name=f"{request}.png",
        model_version="models:/m/1",
        label="ok",
        probabilities={"ok": 0.75, "bad": 0.25},
        error=None,
        sha256=hashlib.sha256(image).hexdigest(),
    )
    return replace(answered, **changes)


def keep(store: KeptStore, image: bytes, **of: Any) -> Kept:
    kept = row(image=image, **of)
    store.add([kept], {str(kept.sha256): image})
    return kept


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "images").rglob("*") if path.is_file())


def test_rows_come_back_by_time_with_their_images(store: KeptStore, folder: Path) -> None:
    later = keep(store, picture(1), request="later", hours=0.5)
    first = keep(store, picture(2, "JPEG"), request="first", model_version="models:/m/2")
    found = list(store.read())
    assert [replace(each, image=None) for each in found] == [first, later]
    assert [each.image.read_bytes() for each in found if each.image] == [picture(2, "JPEG"), picture(1)]
    assert [each.image.suffix for each in found if each.image] == [".jpg", ".png"]
    assert [each.id for each in store.read(version="models:/m/2")] == ["first:0"]
    assert [each.id for each in store.read(since=later.time)] == ["later:0"]
    assert [each.id for each in store.read(until=later.time)] == ["first:0"]
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [*files(folder), *folder.glob("kept*")]} == {0o600}


def test_more_rows_than_a_page_of_the_same_time_are_read_once_each(store: KeptStore) -> None:
    store.add([row(index=index) for index in range(1201)], {})
    assert [each.id for each in store.read()] == [f"a:{index}" for index in range(1201)]


def test_an_image_is_stored_once_and_goes_with_the_last_row_that_names_it(
    store: KeptStore, folder: Path
) -> None:
    for request in ("a", "b"):
        keep(store, picture(1), request=request)
    assert len(files(folder)) == 1
    assert store.remove(["a"]) == 1
    assert len(files(folder)) == 1
    assert store.remove(["b:0"]) == 1
    assert files(folder) == []
    assert store.totals()[:2] == (0, 0)


def test_an_id_that_comes_again_changes_nothing(store: KeptStore, folder: Path) -> None:
    keep(store, picture(1), request="a")
    other = row(request="a", image=picture(2), label="bad")
    assert store.add([other, row(request="b")], {str(other.sha256): picture(2)}) == 1
    assert [(each.id, each.label) for each in store.read()] == [("a:0", "ok"), ("b:0", "ok")]
    assert len(files(folder)) == 1


def test_bytes_that_are_no_image_are_kept_by_their_digest_alone(store: KeptStore, folder: Path) -> None:
    keep(store, b"password: secret", request="a", label=None, probabilities=None, error="not an image")
    keep(store, picture(1)[:60], request="b", label=None, probabilities=None, error="cut off")
    assert [each.image is None for each in store.read()] == [True, False]
    assert b"secret" not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000"])
def test_an_extension_is_one_by_which_a_source_knows_images(form: str) -> None:
    assert is_named_like_an_image(f"x.{extension_of(picture(1, form))}")


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "a\x00b.png", "\udcff\udc00.png", "x" * 100_000, ""]
)
def test_a_name_is_text_alone(store: KeptStore, folder: Path, name: str) -> None:
    keep(store, picture(1), name=name)
    [found] = store.read()
    assert found.name == name.encode("utf-8", "backslashreplace").decode()[:1000]
    assert {path.relative_to(folder).parts[0] for path in files(folder)} == {"images"}
    assert found.image is not None
    assert found.image.stem == found.sha256


def test_labels_belong_to_kept_images_and_a_later_one_replaces(store: KeptStore) -> None:
    kept = keep(store, picture(1))
    keep(store, picture(1), request="b")
    labels = [("a:0", "bad", NOON), ("gone:0", "ok", NOON)]
    assert store.add_labels(labels) == ["gone:0"]
    assert store.add_labels([("a:0", "ok", NOON + timedelta(minutes=1))]) == []
    [(found, label, when)] = store.labelled()
    assert (found.id, label, when) == (kept.id, "ok", NOON + timedelta(minutes=1))
    assert store.matching("a") == ["a:0"]
    store.remove(["a"])
    assert list(store.labelled()) == []


def test_nothing_of_what_was_removed_is_in_the_files(store: KeptStore, folder: Path) -> None:
    draw = random.Random(1)  # rows of many sizes, which SQLite moves about within its file
    rows = [
        row(f"{draw.getrandbits(60):015x}", name="y" * draw.choice([0, 5, 100, 900])) for _ in range(1500)
    ]
    store.add(rows, {})
    store.add_labels([(each.id, f"Jane {each.id}", NOON) for each in rows])
    gone = {each.id for each in draw.sample(rows, 1200)}
    with KeptStore(folder) as beside:  # the log stays while another process has the database open
        next(beside.read())
        store.remove(gone)
    raw = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert set(re.findall("[0-9a-f]{15}:0", raw.decode("latin-1"))) == {each.id for each in rows} - gone


def test_old_rows_go_first_then_the_oldest_beyond_the_size(store: KeptStore, folder: Path) -> None:
    keep(store, picture(0), request="old", hours=-48)
    big = [os.urandom(50_000) + bytes([level]) for level in range(6)]
    pictures = [picture(level) + data for level, data in enumerate(big)]  # decoders ignore what follows
    for level, image in enumerate(pictures):
        keep(store, image, request=f"r{level}", hours=level / 10)
    keep(store, pictures[0], request="again", hours=0.9)
    assert store.prune(max_days=1, max_gb=1) == 1
    rows = store.totals().bytes - 6 * len(pictures[0])
    assert (
        store.prune(max_days=1, max_gb=(rows + 4 * len(pictures[0])) / 1e9) == 3
    )  # the first one's is named again
    assert [each.id for each in store.read()] == ["r3:0", "r4:0", "r5:0", "again:0"]
    assert len(files(folder)) == 4


def test_prune_mends_what_a_killed_process_left(store: KeptStore, folder: Path) -> None:
    lost, cut, good = (keep(store, picture(level), request=f"r{level}") for level in range(3))
    paths = {each.id: each.image for each in store.read()}
    paths[lost.id].unlink()
    paths[cut.id].write_bytes(b"half")
    orphan = folder / "images/ab" / f"{'ab' * 32}.png"
    for path in (orphan, orphan.with_suffix(".new")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert store.prune(30, 5) == 0
    assert files(folder) == [paths[good.id]]
    assert [each.image for each in store.read()] == [None, None, paths[good.id]]


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_store import KeptStore, keep, picture
for index in range(int(sys.argv[2]), 10**6, 2):
    with KeptStore(Path(sys.argv[1]), is_new=True) as store:
        keep(store, picture(index % 7), request=f"r{index}")
    print(index, flush=True)
"""


def test_processes_write_at_once_and_are_killed(folder: Path) -> None:
    paths = [str(Path(__file__).parent)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(start), *paths], stdout=subprocess.PIPE, text=True
        )
        for start in range(2)
    ]
    written = set()
    for writer in writers:
        assert writer.stdout is not None
        written |= {int(writer.stdout.readline()) for _ in range(40)}
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        written |= {int(line) for line in writer.communicate()[0].split()}
    with KeptStore(folder) as store:
        ids = [each.id for each in store.read()]
        assert {f"r{index}:0" for index in written} <= set(ids)
        assert len(ids) - len(written) <= 2  # whose line was not printed any more
        store.prune(30, 5)
        assert all(each.image is not None and each.image.is_file() for each in store.read())
        assert len(files(folder)) == 7


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(HeadstartError, match="nothing is kept in .*serve.keep"):
        KeptStore(folder)
    assert not folder.exists()
    open_one = tmp_path / "open"
    open_one.mkdir(mode=0o755)
    with pytest.raises(HeadstartError, match="others may enter .*mode 755.*chmod 700"):
        KeptStore(open_one, is_new=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadstartError, match="cannot be made .*name another folder"):
        KeptStore(tmp_path / "file" / "kept", is_new=True)


def test_a_database_in_use_or_of_another_format_is_an_error(
    store: KeptStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.01)
    beside = sqlite3.connect(folder / "kept.sqlite", isolation_level=None)
    beside.execute("BEGIN IMMEDIATE")
    with KeptStore(folder) as late, pytest.raises(HeadstartError, match="database is locked"):
        keep(late, picture(1))
    beside.execute("PRAGMA user_version = 7")
    beside.execute("COMMIT")
    beside.close()
    with pytest.raises(HeadstartError, match="format 7, expected 1"):
        KeptStore(folder)
