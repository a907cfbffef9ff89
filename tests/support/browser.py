"""Chromium, driven by chromedriver's HTTP protocol (W3C WebDriver), without any package."""

import base64
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import free_port, wait_for

SECONDS = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1800",
)


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, address: str) -> None:
        _call(f"{self._session}/url", {"url": address})

    def find(self, xpath: str, seconds: float = SECONDS) -> str:
        """Wait until an element exists, and return its path in the protocol."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = _call(f"{self._session}/element", {"using": "xpath", "value": xpath})
                return f"{self._session}/element/{found[ELEMENT]}"
            except urllib.error.HTTPError:
                assert time.monotonic() < end, f"the page never showed {xpath}:\n{self.text()}"
                time.sleep(0.3)

    def click(self, xpath: str) -> None:
        """Click an element as soon as it is clickable."""
        end = time.monotonic() + SECONDS
        while True:
            try:
                _call(f"{self.find(xpath)}/click", {})
                return
            except urllib.error.HTTPError:
                assert time.monotonic() < end, f"{xpath} is not clickable"
                time.sleep(0.3)

    def write(self, xpath: str, text: str) -> None:
        _call(f"{self.find(xpath)}/value", {"text": text})

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def run(self, script: str) -> Any:
        """Run the body of a JavaScript function, and return what it returns."""
        return _call(f"{self._session}/execute/sync", {"script": script, "args": []})

    def show_as(self, width: int, height: int, is_dark: bool = False) -> None:
        """Show the page in a window of this size in pixels, in the light or dark scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._command("Emulation.setDeviceMetricsOverride", size)
        self._command("Emulation.setEmulatedMedia", {"features": [scheme]})

    def _command(self, name: str, values: object) -> None:
        """Chromium's own protocol, for what WebDriver lacks."""
        _call(f"{self._session}/goog/cdp/execute", {"cmd": name, "params": values})

    def picture(self, path: Path) -> None:
        """Save a PNG screenshot of the window."""
        path.write_bytes(base64.b64decode(_call(f"{self._session}/screenshot")))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`, for the duration of the block."""
    port = free_port()
    driver = subprocess.Popen(
        ["/usr/bin/chromedriver", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/status")
        options = {
            "binary": "/usr/bin/chromium",
            "args": [*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"],
        }
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        session = f"{address}/session/{_call(f'{address}/session', wanted)['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _call(session, method="DELETE")
    finally:
        os.killpg(driver.pid, signal.SIGTERM)
        driver.wait(30)


def _call(address: str, body: object = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)["value"]
