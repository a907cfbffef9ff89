"""Paths in a request are read with the server's rights: only below allowed places."""

from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.versions.serving.path_access import PathAccess


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An allowed folder with an image, next to a secret, and a link from one to the other."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "a.png").write_bytes(b"image")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "allowed-too").mkdir()
    (tmp_path / "allowed-too" / "b.png").write_bytes(b"other")
    (allowed / "link.png").symlink_to(tmp_path / "secret")
    return allowed


def test_files_below_an_allowed_folder_are_read(folder: Path) -> None:
    access = PathAccess(f"s3://bucket, {folder}")
    assert access.read(str(folder / "a.png")) == b"image"
    assert access.read(f"file://{folder}/a.png") == b"image"
    assert not access.nothing
    assert PathAccess("*").read(str(folder.parent / "secret")) == b"secret"
    assert PathAccess("").nothing


@pytest.mark.parametrize("path", ["../secret", "link.png", "../allowed-too/b.png", "sub/../../secret"])
def test_nothing_leads_out_of_it(folder: Path, path: str) -> None:
    for name in (f"{folder}/{path}", f"file://{folder}/{path}"):
        with pytest.raises(DataError, match="is not below a place that HEADSTART_PATHS allows"):
            PathAccess(str(folder)).read(name)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org.evil/images/a.png",
        "https://example.org/imagesother/a.png",
        "https://example.org/images/../a.png",
        "https://example.org/images/%2e%2e/a.png",
        "https://example.org/images/a.png::file:///etc/passwd",
        "http://example.org/images/a.png",
        "zip://a.png::https://example.org/images/a.zip",
    ],
)
def test_only_urls_below_an_allowed_one_are_asked_for(url: str) -> None:
    with pytest.raises(DataError, match="is not below a place"):
        PathAccess("https://example.org/images").read(url)


def test_what_cannot_be_read_says_why(folder: Path) -> None:
    access = PathAccess("*")
    for path, message in (
        (str(folder / "none.png"), "there is no file"),
        (str(folder), "is a folder, expected a file"),
        ("/dev/zero", "is a device, expected a file"),
        ("a\0b", "cannot be read|there is no file"),
        ("http://127.0.0.1:9/a.png", "cannot be read: ClientConnectorError"),
        ("nothing://a.png", "cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            access.read(path)
