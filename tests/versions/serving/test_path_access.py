"""Paths in a request are read with the server's rights: only below allowed places."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Web(BaseHTTPRequestHandler):
    """A web server with an image below /parts/, links that lead elsewhere, and a secret beside it."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/parts/to/"):
            self._say(302, b"", ("Location", self.path.removeprefix("/parts/to")))
        else:
            self._say(200, b"image" if self.path == "/parts/a.png" else b"secret")

    do_HEAD = do_GET

    def _say(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """The address of `Web` on loopback, and the paths that it was asked for."""
    handler = type("Asked", (Web,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()


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


@pytest.mark.parametrize(
    "path",
    [
        ".\t./secret.png",
        ".\n./secret.png",
        ".\r./secret.png",
        ".%2e/secret.png",
        "%252e%252e/secret.png",
        "..%5csecret.png",
        "..\\secret.png",
        "sub/..\t/../secret.png",
        "\x00../secret.png",
    ],
)
def test_an_address_counts_as_its_client_reads_it(web: tuple[str, list[str]], path: str) -> None:
    address, asked = web
    with pytest.raises(DataError, match="is not below a place that HEADSTART_PATHS allows"):
        PathAccess(f"{address}/parts").read(f"{address}/parts/{path}")
    assert asked == []


def test_a_redirect_is_followed_only_within_the_allowed_places(web: tuple[str, list[str]]) -> None:
    address, asked = web
    access = PathAccess(f"{address}/parts")
    assert access.read(f"{address}/parts/a.png") == b"image"
    assert access.read(f"{address}/parts/to/parts/a.png") == b"image"
    assert access.read(address.replace("http", "HTTP") + "/parts/./a.png") == b"image"
    with pytest.raises(DataError, match=f"{address}/secret.png is not below a place"):
        access.read(f"{address}/parts/to/secret.png")
    assert "/secret.png" not in asked
    assert PathAccess("*").read(f"{address}/parts/to/secret.png") == b"secret"


def test_a_place_may_be_named_as_a_file_address(folder: Path) -> None:
    assert PathAccess(f"file://{folder}").read(str(folder / "a.png")) == b"image"


@pytest.mark.parametrize("setting", ["*", "{folder}"])
def test_a_path_that_no_system_resolves_is_a_fault_of_that_path(folder: Path, setting: str) -> None:
    (folder / "loop").symlink_to(folder / "loop")
    access = PathAccess(setting.format(folder=folder))
    for name in ("loop", "loop/a.png", "a\0b.png", "x" * 5000):
        with pytest.raises(DataError, match="cannot be read|there is no file"):
            access.read(f"{folder}/{name}")


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
