"""The page of `headstart serve` in Chromium: pictures from everywhere, tokens, bad images, hostile names."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from browser import Browser, browser
from PIL import Image
from served import IMAGE, Network
from served_http import Server

from headstart.pipeline.explanation.similar import Nearest
from headstart.versions.serving.http.card import Card
from headstart.versions.serving.http.looking import NO_PROJECT, Evidence
from headstart.versions.serving.http.settings import Settings

pytestmark = pytest.mark.server
TOKEN = "0123456789abcdef"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">" + 60 * "m"
FILE = "//input[@id='file']"
LABEL = "//section[@id='answer'][not(@hidden)]//h2"
PROBLEM = "//div[@id='problem'][not(@hidden)]"
TRANSFER = """
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(%s)], "b.png", {type: "image/png"}));
"""
DROP = (
    TRANSFER + 'document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));'
)
PASTE = (
    TRANSFER
    + 'document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));'
)


def jpeg(brightness: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), brightness, np.uint8)).save(file, "jpeg")
    return file.getvalue()


def evidence(name: str) -> Evidence:
    near = tuple(Nearest(f"{name}/{number}.png", name, 0.5, jpeg(90)) for number in range(6))
    return Evidence(jpeg(60), jpeg(200), None, near, None)


def with_names(server: Server, name: str, found: Evidence) -> None:
    """Let a version answer whose second class, card and training images have this name."""
    network = Network()
    network.classes = ("dark", name)
    version = server.version(2, network)
    cast(Any, version)._looking.evidence = found
    version.card = Card(f"### {name}\n\n| a | b |\n|---|---|\n| {name} | **c** |\n", None)
    server.live.swap(version)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(IMAGE)
    return path


def gone(window: Browser) -> None:
    """Wait until the last answer is shown no more."""
    window.run('document.getElementById("answer").hidden = true')


def loaded(window: Browser, xpath: str) -> None:
    """Check that each of these images was decoded."""
    script = f"""
      const kind = XPathResult.ORDERED_NODE_SNAPSHOT_TYPE;
      const found = document.evaluate("{xpath}", document, null, kind, null);
      const images = Array.from({{length: found.snapshotLength}}, (_, place) => found.snapshotItem(place));
      return Promise.all(images.map((image) => image.decode())).then(() => images.length);
    """
    assert window.run(script) > 0


def test_pictures_are_chosen_dropped_and_pasted(window: Browser, picture: Path) -> None:
    with Server(Settings()).running() as server:
        with_names(server, "light", evidence("light"))
        window.open(f"http://127.0.0.1:{server.port}/")
        window.write(FILE, str(picture))
        window.find(f"{LABEL}[. = 'light']")
        window.find("//p[@id='status'][. = 'light, 75.0 %']")
        window.find("//tbody[@id='likely']/tr[1][contains(., 'light') and contains(., '75.0 %')]")
        window.find("//ul[@id='nearest']/li[6][contains(., 'light, 0.50')]")
        for shown in ("//img[@id='picture']", "//img[@id='overlay']", "//ul[@id='nearest']//img"):
            loaded(window, shown)
        window.click("//input[@id='evidence']")
        window.find("//img[@id='overlay'][@hidden]")
        window.click("//details[@id='about']/summary")
        window.find("//div[@id='card']//strong[. = 'c']")
        for script in (DROP, PASTE):
            gone(window)
            window.run(script % list(IMAGE))
            window.find(LABEL)
        assert server.figure('headstart_requests_total{door="/explain",status="200"}') == 3


def test_the_version_that_answers_is_named_after_a_swap(window: Browser, picture: Path) -> None:
    with Server(Settings()).running() as server:
        window.open(f"http://127.0.0.1:{server.port}/")
        window.find("//p[@id='version'][contains(., 'models:/m/1')]")
        with_names(server, "light", evidence("light"))
        window.write(FILE, str(picture))
        window.find("//p[@id='answered'][contains(., 'Answered by models:/m/2')]")
        window.find("//p[@id='version'][contains(., 'models:/m/2')]")
        window.find("//p[@id='about-card'][contains(., 'models:/m/2')]")


def test_a_bad_image_and_a_lost_server_have_a_reason(window: Browser, picture: Path) -> None:
    picture.write_bytes(b"not an image")
    with Server(Settings()).running() as server:
        window.open(f"http://127.0.0.1:{server.port}/")
        window.write(FILE, str(picture))
        window.find(f"{PROBLEM}[contains(., 'a.png cannot be read: cannot be decoded')]")
    window.write(FILE, str(picture))
    window.find(f"{PROBLEM}[contains(., 'The server does not answer.')]//button[not(@hidden)]")


def test_it_asks_for_a_token_and_keeps_it_for_the_tab(window: Browser, picture: Path) -> None:
    with Server(Settings(), (TOKEN,)).running() as server:
        with_names(server, "light", evidence("light"))
        window.open(f"http://127.0.0.1:{server.port}/")
        window.write("//input[@id='token']", "wrong\ue007")
        window.find(f"{PROBLEM}[contains(., 'does not know this token')]")
        window.write("//input[@id='token']", f"{TOKEN}\ue007")  # and Enter
        window.find("//form[@id='entrance'][@hidden]")
        window.write(FILE, str(picture))
        window.find(LABEL)
        window.open(f"http://127.0.0.1:{server.port}/")
        window.find("//p[@id='version'][contains(., 'models:/m/2')]")
        assert window.run("return [localStorage.length, document.cookie]") == [0, ""]


def test_names_stay_text_and_a_narrow_page_has_no_second_direction(window: Browser, tmp_path: Path) -> None:
    path = tmp_path / "<b>a.png"
    path.write_bytes(IMAGE)
    with Server(Settings()).running() as server:
        with_names(server, HOSTILE, evidence(HOSTILE)._replace(why_no_nearest=NO_PROJECT))
        try:
            window.show_as(420, 900)
            window.open(f"http://127.0.0.1:{server.port}/")
            window.write(FILE, str(path))
            window.find(LABEL)
            window.find("//p[@id='about-nearest'][contains(., 'outside of a project')]")
            window.click("//details[@id='about']/summary")
            assert window.run("return document.getElementById('label').textContent") == HOSTILE
            assert window.run("return document.querySelectorAll('img[onerror], b').length") == 0
            assert window.run("return document.title") == "Try the model"
            assert window.run("return document.documentElement.scrollWidth") <= 420
            if folder := os.environ.get("SCREENSHOTS"):
                window.picture(Path(folder) / "serve-hostile.png")
        finally:
            window.show_as(1400, 1800)
