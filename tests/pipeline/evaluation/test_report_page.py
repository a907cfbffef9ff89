"""The report in Chromium, from a file: its script runs under the page's own policy."""

from pathlib import Path

import pytest
from browser import browser
from results import make_results

from headstart.pipeline.evaluation import stage
from headstart.pipeline.evaluation.report import render_report

pytestmark = pytest.mark.server
CLASSES = 40


def test_typing_a_name_leaves_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = [place % CLASSES for place in range(80)]
    found = make_results(tmp_path, labels, labels, [f"kind {number}." for number in range(CLASSES)])
    page = tmp_path / "report.html"
    page.write_text(render_report(stage._report(found)), encoding="utf-8")
    with browser(tmp_path) as window:
        window.open(page.as_uri())
        assert "kind 8." in window.text()
        window.write("//section[@id='classes']//input", "Kind 7.")
        assert f"1 of {CLASSES}" in window.text()
        window.write("//section[@id='classes']//input", "none")
        assert f"0 of {CLASSES}" in window.text()
