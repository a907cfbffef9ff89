"""A person reviews by keyboard in Chromium, and `headstart fix` carries the decisions out."""

import os
import subprocess
from pathlib import Path

import pytest
from browser import Browser, browser
from processes import end, wait_for
from projects import edit_params, headstart, repro
from servers import free_port

from headstart.review.fixes import read_fixes

pytestmark = pytest.mark.server
BODY = "//body"


def test_decisions_by_keyboard_are_written_and_carried_out(repository: Path, tmp_path: Path) -> None:
    edit_params(repository, **{"inspect.dark": {"severity": "warning", "limit": 0.99}})
    repro(repository, "inspect")
    port = free_port()
    command = [str(repository / "bin" / "headstart"), "review", "--port", str(port)]
    with (tmp_path / "review.log").open("w") as log:
        served = subprocess.Popen(command, cwd=repository, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: "findings on http" in (tmp_path / "review.log").read_text())
        with browser(tmp_path) as window:
            decide(window, f"http://127.0.0.1:{port}/")
            if folder := os.environ.get("SCREENSHOTS"):
                window.picture(Path(folder) / "review.png")
    finally:
        end(served)
    first, second, third = read_fixes(repository / "fixes.csv")
    assert (first.action, second.action, third.action) == ("remove", "keep", "relabel")
    assert third.label == "light"
    said = headstart(repository, "fix")
    assert "moved 1 to quarantine/" in said
    assert not (repository / "data" / first.path).exists()
    assert (repository / "data" / second.path).exists()


def decide(window: Browser, address: str) -> None:
    """Remove the first, keep the second after a change of mind, relabel the third that is dark."""
    window.open(address)
    window.find("//p[@id='place'][starts-with(., '1 of ')]")
    window.write(BODY, "r")
    window.find("//p[@id='place'][starts-with(., '2 of ')]")
    window.write(BODY, "r")
    window.find("//p[@id='place'][starts-with(., '3 of ')]")
    window.write(BODY, "\ue012")  # the left arrow
    window.find("//p[@id='decision'][. = 'Decided: remove']")
    window.write(BODY, "k")
    window.find("//p[@id='place'][starts-with(., '3 of ')]")
    window.click("//select[@id='label']/option[. = 'light']")
    window.find("//p[@id='place'][contains(., '3 decided')]")
    window.find("//div[@id='picture']//img")
