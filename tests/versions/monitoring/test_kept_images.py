"""Kept requests as new images: those of the last days, each file once, and what is not among them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headstart.errors import NothingKept
from headstart.versions.monitoring.images import images_of, kept_images
from headstart.versions.serving.kept import store as stores
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stores, "extension_of", lambda data: "png")
    return tmp_path / "kept"


def keep(folder: Path, request: str, image: bytes | None, days: float = 0, version: int = 1) -> None:
    digest = f"{image!r}".encode().hex().ljust(64, "0")
    answer = ("ok", {"ok": 1.0}, None, digest)
    row = Kept(f"{request}:0", NOW - timedelta(days=days), "a.png", f"models:/m/{version}", *answer)
    with KeptStore(folder, is_new=True) as store:
        store.add([row], {} if image is None else {digest: image})


def test_the_images_of_all_versions_in_the_last_days_are_compared_once_each(folder: Path) -> None:
    keep(folder, "old", b"old", days=8)
    for request, image, version in (("a", b"1", 1), ("b", b"2", 2), ("c", b"1", 2), ("d", None, 2)):
        keep(folder, request, image, version=version)
    found = images_of([], None, folder, 7)
    assert [path.read_bytes() for path in found.files] == [b"1", b"2"]
    assert found.source == (
        f"2 different images of 4 answers kept in the last 7 days in {folder}; "
        "1 of these answers without their image are not compared"
    )
    assert len(kept_images(folder, 9).files) == 3


def test_what_is_named_comes_first(folder: Path, tmp_path: Path) -> None:
    keep(folder, "a", b"1")
    named = tmp_path / "new.png"
    assert images_of([str(named)], "other", folder, 7).files == [named]
    assert images_of([], str(named), folder, 7).files == [named]


def test_nothing_to_compare_says_what_to_set(folder: Path) -> None:
    with pytest.raises(NothingKept, match="nothing is kept in .*serve.keep .*or set monitor.source"):
        images_of([], None, folder, 7)
    keep(folder, "a", None)
    with pytest.raises(NothingKept, match="1 answers were kept .*none with its image; .*serve.keep_images"):
        images_of([], None, folder, 7)
    keep(folder, "b", b"1", days=8)
    with pytest.raises(NothingKept, match="last 7 days"):
        images_of([], None, folder, 7)
