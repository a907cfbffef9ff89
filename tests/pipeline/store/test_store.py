"""The store of computed rows."""

from pathlib import Path

import pytest

from headstart.pipeline.store import store
from headstart.pipeline.store.store import Store

RECIPE = "ab" * 32


def test_rows_are_there_after_the_map_was_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAPPED_BYTES", 1000)
    keys = [f"{number:064x}" for number in range(20)]
    rows = {key: key.encode() * 10 for key in keys}
    with Store(tmp_path) as opened:
        opened.put(RECIPE, rows)
        for _ in range(3):
            assert opened.get(RECIPE, keys) == list(rows.values())
        opened.put(RECIPE, {"ff" * 32: b"new"})
        assert opened.has(RECIPE, ["ff" * 32, "ee" * 32]) == [True, False]


def test_reading_many_rows_keeps_memory_bounded(tmp_path: Path) -> None:
    row = bytes(2**20)
    keys = [f"{number:064x}" for number in range(400)]
    with Store(tmp_path) as opened:
        for key in keys:
            opened.put(RECIPE, {key: row})
    with Store(tmp_path) as opened:
        before = resident_bytes()
        largest = 0
        for key in keys:
            assert opened.get(RECIPE, [key]) == [row]
            largest = max(largest, resident_bytes() - before)
    assert largest < 200 * 2**20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
