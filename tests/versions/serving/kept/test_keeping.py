"""A server that keeps requests: drawn at random, never an answer's delay or failure, counted if dropped."""

import base64
import hashlib
import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import IMAGE, Network
from served_http import Server, form

from headstart.errors import HeadstartError
from headstart.versions.serving.http.settings import Settings
from headstart.versions.serving.kept import capture, database, keeping, store
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore
from headstart.versions.serving.settings import Serve


@pytest.fixture(autouse=True)
def stands_for_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """`IMAGE`, which the stand-in of a network decodes, has a format."""
    monkeypatch.setattr(store, "extension_of", lambda data: "png" if data == IMAGE else None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def server(folder: Path, **of: Any) -> Server:
    return Server(Settings(), kept=Serve(**{"keep": 1.0, **of}, folder=str(folder)))


def kept(folder: Path) -> list[Kept]:
    with KeptStore(folder) as opened:
        return list(opened.read())


def count(server: Server, outcome: str) -> float:
    return float(server.metrics.registry.get_sample_value("headstart_kept_total", {"outcome": outcome}) or 0)


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_answers_of_every_door_are_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_PATHS", str(tmp_path))
    (tmp_path / "a.png").write_bytes(IMAGE)
    text = base64.b64encode(IMAGE).decode()
    with server(folder).running() as answering:
        body, kind = form(("../../etc/x.png", IMAGE), ("b.png", b"no image"))
        found = answering.post("/predict", body, kind, **{"X-Request-Id": "one"})[1]["answers"]
        listed = {"images": [{"base64": text, "name": "c"}, {"path": "gone.png"}]}
        answering.post("/predict", json.dumps(listed).encode(), "application/json", **{"X-Request-Id": "two"})
        rows = {"dataframe_split": {"columns": ["path"], "data": [[str(tmp_path / "a.png")]]}}
        document = json.dumps(rows).encode()
        answering.post("/invocations", document, "application/json", **{"X-Request-Id": "three"})
        answering.live.swap(answering.version(2, Network()))
        answering.post("/invocations", f"image\n{text}\n".encode(), "text/csv", **{"X-Request-Id": "four"})
    good, bad, by_text, gone, by_path, last = kept(folder)
    assert [each.id for each in (good, bad)] == [each["id"] for each in found] == ["one:0", "one:1"]
    assert (good.name, good.label, good.probabilities) == (
        "../../etc/x.png",
        "light",
        found[0]["probabilities"],
    )
    assert good.image is not None
    assert good.image.read_bytes() == IMAGE
    assert good.image.is_relative_to(folder)
    assert (bad.label, bad.error, bad.image) == (None, "cannot be decoded", None)
    assert bad.sha256 == hashlib.sha256(b"no image").hexdigest()
    assert (by_text.name, by_text.image) == ("c", good.image)
    assert (gone.name, gone.sha256) == ("gone.png", None)
    assert (by_path.name, by_path.image) == (str(tmp_path / "a.png"), good.image)
    assert (last.name, last.model_version) == (None, "models:/m/2")
    assert {each.model_version for each in (good, by_path)} == {"models:/m/1"}
    assert count(answering, "kept") == 6


def test_the_share_is_drawn_per_request(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.04, 0.05, 0.9, 0.01])
    monkeypatch.setattr(keeping.random, "random", lambda: next(draws))
    with server(folder, keep=0.05).running() as answering:
        for index in range(4):
            answering.post("/predict", IMAGE, "image/png", **{"X-Request-Id": f"r{index}"})
    assert [each.id for each in kept(folder)] == ["r0:0", "r3:0"]


def test_nothing_is_kept_or_made_by_default(folder: Path) -> None:
    with server(folder, keep=0.0).running() as answering:
        assert answering.image()[0] == 200
    assert not folder.exists()


def test_digests_alone(folder: Path) -> None:
    with server(folder, keep_images=False).running() as answering:
        answering.image()
    assert [(each.sha256, each.image) for each in kept(folder)] == [(hashlib.sha256(IMAGE).hexdigest(), None)]
    assert not (folder / "images").exists()


def test_an_id_that_comes_again_is_counted(folder: Path) -> None:
    with server(folder).running() as answering:
        for _ in range(2):
            answering.post("/predict", IMAGE, "image/png", **{"X-Request-Id": "same"})
    assert len(kept(folder)) == 1
    assert (count(answering, "kept"), count(answering, "repeated")) == (1, 1)


def test_answers_come_while_the_database_is_locked_or_the_folder_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(keeping, "LOG", logging.getLogger("keeping"))  # uvicorn's is its own affair
    with server(folder).running() as answering:
        beside = sqlite3.connect(folder / "kept.sqlite", isolation_level=None)
        beside.execute("BEGIN IMMEDIATE")
        assert [answering.image()[0] for _ in range(3)] == [200, 200, 200]
        until(lambda: count(answering, "failed") == 3)
        beside.close()
        shutil.rmtree(folder)
        folder.write_text("a file in its place")
        assert answering.image()[0] == 200
        until(lambda: count(answering, "failed") == 4)
        folder.unlink()
        assert answering.image()[0] == 200
    assert len(kept(folder)) == 1
    said = [each.getMessage() for each in caplog.records if "answers are not kept" in each.getMessage()]
    assert len(said) == 2
    assert "database is locked" in said[0]


def test_a_slow_disk_delays_no_answer_and_what_finds_no_room_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MEMORY", 3 * capture.ROW_BYTES)
    is_slow = [True]
    monkeypatch.setattr(keeping.KeptStore, "add", waiting(keeping.KeptStore.add, is_slow))
    with server(folder).running() as answering:
        for index in range(6):
            assert answering.post("/predict", IMAGE, "image/png", **{"X-Request-Id": f"r{index}"})[0] == 200
        is_slow.clear()
        until(lambda: count(answering, "kept"))
    assert [each.id for each in kept(folder)] == [
        f"r{index}:0" for index in range(int(count(answering, "kept")))
    ]
    assert count(answering, "dropped") == 6 - count(answering, "kept") > 0


def waiting(add: Any, is_slow: list[bool]) -> Any:
    def slow(*of: Any) -> Any:
        while is_slow:
            time.sleep(0.01)
        return add(*of)

    return slow


def test_the_bounds_hold_while_the_server_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    network.pixels = lambda image: np.zeros((2, 2, 3), np.uint8)  # type: ignore[method-assign]
    monkeypatch.setattr(store, "extension_of", lambda data: "png")
    answering = server(folder, keep_gb=0.001)
    answering.live.swap(answering.version(2, network))
    with answering.running():
        for index in range(30):
            answering.image(bytes([index]) * 100_000)
        until(lambda: count(answering, "kept") == 30)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert 600_000 < sum(sizes) < 1_110_000


def test_a_folder_that_cannot_be_used_is_an_error_before_the_first_request(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")
    with pytest.raises(HeadstartError, match="cannot be made"):
        server(tmp_path / "kept" / "below")
