"""The store of computed rows: what is read from it is what was written, whatever happened to its file."""

import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.errors import ArgumentError, HeadstartError
from headstart.pipeline.store.store import FILE, Store, open_rows

RECIPE = "ab" * 32
KEYS = [f"{number:064x}" for number in range(40)]
ROWS = {key: bytes([number]) * 5000 for number, key in enumerate(KEYS)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a store with rows of two recipes."""
    with Store(tmp_path) as store:
        store.put(RECIPE, ROWS)
        store.put("cd" * 32, {KEYS[0]: b"another recipe"})
    return tmp_path / FILE


def read(file: Path) -> list[bytes | None]:
    with Store(file.parent) as store:
        return store.get(RECIPE, KEYS)


def edit(file: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(file) as database:
        database.execute(statement, values)
    database.close()


def test_rows_are_kept_by_recipe_and_key(file: Path) -> None:
    with Store(file.parent) as store:
        assert store.get(RECIPE, KEYS) == list(ROWS.values())
        assert store.get("cd" * 32, KEYS[:2]) == [b"another recipe", None]
        assert store.has(RECIPE, [*KEYS * 30, "ff" * 32]) == [True] * 1200 + [False]
        store.put(RECIPE, {KEYS[1]: b"other"})
        assert store.get(RECIPE, KEYS[:2]) == [ROWS[KEYS[0]], b"other"]
        assert (store.get(RECIPE, []), store.has(RECIPE, [])) == ([], [])


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE rows SET row = ? WHERE hex(key) LIKE ?", (bytes(5000), f"%{KEYS[7]}")),
        ("UPDATE rows SET row = substr(row, 1, 100) WHERE hex(key) LIKE ?", (f"%{KEYS[7]}",)),
        ("UPDATE rows SET row = NULL WHERE hex(key) LIKE ?", (f"%{KEYS[7]}",)),
        ("UPDATE rows SET row = x'' WHERE hex(key) LIKE ?", (f"%{KEYS[7]}",)),
        (
            "UPDATE rows SET (checksum, row) = (SELECT checksum, row FROM rows WHERE hex(key) LIKE ?) "
            "WHERE hex(key) LIKE ?",
            (f"%{KEYS[3]}", f"%{KEYS[7]}"),
        ),
    ],
    ids=["other values", "cut", "none", "empty", "that of another key"],
)
def test_a_changed_row_counts_as_missing_and_is_named(
    file: Path, caplog: pytest.LogCaptureFixture, statement: str, values: tuple[object, ...]
) -> None:
    edit(file, statement, *values)
    expected = [None if key == KEYS[7] else row for key, row in ROWS.items()]
    assert read(file) == expected
    assert f"1 row is damaged in {file}: {KEYS[7][:12]}..., computed again" in caplog.text
    with Store(file.parent) as store:
        assert store.has(RECIPE, KEYS[6:8]) == [True, False]
        store.put(RECIPE, {KEYS[7]: ROWS[KEYS[7]]})
    assert read(file) == list(ROWS.values())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_cut_file_is_an_empty_store(file: Path, caplog: pytest.LogCaptureFixture, share: float) -> None:
    os.truncate(file, int(file.stat().st_size * share))
    found = read(file)
    assert all(row in (None, ROWS[key]) for key, row in zip(KEYS, found, strict=True))
    assert None in found
    assert "damaged" in caplog.text or share == 0
    with Store(file.parent) as store:
        store.put(RECIPE, ROWS)
    assert read(file) == list(ROWS.values())


def test_a_file_of_something_else_is_replaced(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_bytes(b"no database" * 1000)
    assert read(file) == [None] * len(KEYS)
    assert f"the store {file} is damaged (file is not a database): it is removed" in caplog.text


def test_flipped_bits_never_change_a_row(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Anywhere in the file: in rows, in the tree of pages, in the header."""
    caplog.set_level(logging.ERROR)
    whole = file.read_bytes()
    draw = random.Random(0)
    refused: list[str] = []
    for number in range(60):
        damaged = bytearray(whole)
        limit = 200 if number % 3 == 0 else len(whole)
        for _ in range(1 + number % 20):
            damaged[draw.randrange(limit)] ^= 1 << draw.randrange(8)
        for path in file.parent.glob(f"{FILE}*"):
            path.unlink()
        file.write_bytes(damaged)
        try:
            found = read(file)
        except HeadstartError as error:  # such as a header that says that the file may only be read
            refused.append(str(error))
            continue
        assert all(row in (None, ROWS[key]) for key, row in zip(KEYS, found, strict=True))
    assert all(str(file.parent) in error for error in refused)
    assert len(refused) < 10


def test_a_store_of_another_format_is_removed(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(file, "PRAGMA user_version = 99")
    earlier = file.with_name("rows.lmdb")
    earlier.write_bytes(b"rows")
    assert read(file) == [None] * len(KEYS)
    assert f"the store {file} is of another format: it is removed" in caplog.text
    assert f"the store {earlier} is of an earlier format: it is removed" in caplog.text
    assert not earlier.exists()


def test_a_store_may_be_deleted_while_it_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store(folder) as store:
        store.put(RECIPE, {KEYS[0]: b"row"})
        shutil.rmtree(folder)
        store.put(RECIPE, {KEYS[1]: b"other"})
        assert store.get(RECIPE, KEYS[1:2]) == [b"other"]
    with Store(folder) as store:
        assert store.get(RECIPE, KEYS[:2]) == [None, b"other"]


def test_threads_share_a_store(file: Path) -> None:
    with Store(file.parent) as store, ThreadPoolExecutor(4) as pool:
        assert [row for [row] in pool.map(lambda key: store.get(RECIPE, [key]), KEYS)] == list(ROWS.values())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadstartError, match="cannot use the store of computed rows in .*HEADSTART_CACHE"):
        Store(tmp_path / "file")


def test_little_address_space_is_enough(tmp_path: Path) -> None:
    """As under `ulimit -v`: the store maps nothing, and reads rows into memory one by one."""
    script = (
        "import resource, sys; from pathlib import Path;"
        "from headstart.pipeline.store.store import Store;"
        "size = int(open('/proc/self/statm').read().split()[0]) * 4096 + 2**26;"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size));"
        "store = Store(Path(sys.argv[1])); keys = [f'{n:064x}' for n in range(100)];"
        "[store.put('ab' * 32, dict.fromkeys(keys[i : i + 10], bytes(2**20))) for i in range(0, 100, 10)];"
        "print(sum(len(store.get('ab' * 32, [key])[0]) for key in keys))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{100 * 2**20}\n", "")


def test_the_rows_put_first_are_dropped_and_their_room_is_used_again(tmp_path: Path) -> None:
    rows = {key: bytes(50_000) for key in KEYS}
    with Store(tmp_path, most=600_000) as store:
        for key in (*KEYS, KEYS[0], KEYS[-1]):
            store.put(RECIPE, {key: rows[key]})
        kept = [key for key, has in zip(KEYS, store.has(RECIPE, KEYS), strict=True) if has]
        assert kept == [KEYS[0], *KEYS[len(KEYS) - len(kept) + 1 :]]
        assert 5 <= len(kept) <= 12
        for key in KEYS:
            store.put(RECIPE, {key: rows[key]})
    assert (tmp_path / FILE).stat().st_size < 1e6


def test_rows_for_which_there_is_no_room_push_out_no_others_if_told_so(tmp_path: Path) -> None:
    with Store(tmp_path, most=600_000) as store:
        for key in KEYS:
            store.put(RECIPE, {key: bytes(50_000)}, drops=False)
        kept = store.has(RECIPE, KEYS)
        count = sum(kept)
        assert kept == [True] * count + [False] * (len(KEYS) - count)
        assert 5 <= count <= 12


def test_a_smaller_bound_is_reached_in_steps(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put(RECIPE, {f"{number:064x}": bytes(20_000) for number in range(200)})
    with Store(tmp_path, most=600_000) as store:
        for number in range(200, 250):
            store.put(RECIPE, {f"{number:064x}": bytes(20_000)})
        left = store.has(RECIPE, [f"{number:064x}" for number in range(250)])
    assert left == [False] * (250 - sum(left)) + [True] * sum(left)
    assert 5 <= sum(left) <= 30


def test_rows_larger_than_the_store_leave_it_empty(tmp_path: Path) -> None:
    with Store(tmp_path, most=100_000) as store:
        store.put(RECIPE, {KEYS[0]: bytes(50_000)})
        store.put(RECIPE, {KEYS[1]: bytes(500_000)})
        assert store.get(RECIPE, KEYS[:2]) == [None, None]
        store.put(RECIPE, {KEYS[0]: b"row"})
        assert store.get(RECIPE, KEYS[:1]) == [b"row"]


@pytest.mark.parametrize("given", ["many", "0", "-1", "inf", "nan"])
def test_a_size_that_is_none_is_named(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_ROWS_GB", given)
    with pytest.raises(ArgumentError, match=f"HEADSTART_ROWS_GB is '{given}'; expected gigabytes"):
        open_rows()
