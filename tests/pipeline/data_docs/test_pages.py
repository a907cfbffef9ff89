"""Data Docs rendered from a stored validation result."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from sections import section

from headstart.errors import DataError
from headstart.pipeline.data.expectations import check_files, check_set, to_json
from headstart.pipeline.data_docs.pages import render_data_docs

HOSTILE = "<b>x</b> \"'&$path {{ 1 }} ü猫"
SCRIPT = "<script>alert(1)</script>.jpg"


def row(label: str, name: str, split: str, **changes: Any) -> dict[str, Any]:
    where = {"path": f"{label}/{name}", "label": label, "pixels": f"{label} {name}"}
    image = {"format": "JPEG", "mode": "RGB", "width": 64, "height": 64, "frames": 1, "error": ""}
    return {**where, **image, "split": split, "excluded": "", **changes}


def stored(*more: dict[str, Any]) -> dict[str, Any]:
    """The result for two classes and `more`, after a round trip through JSON."""
    good = [row(c, f"{s}.jpg", s) for c in (HOSTILE, "dog") for s in ("train", "val", "test")]
    table = pd.DataFrame([*good, *more])
    rules = section(
        "validate",
        formats=["JPEG", "<u>$x"],
        modes=["RGB"],
        min_size=32,
        min_images_per_class=3,
        max_excluded=0.1,
    )
    files = check_files(table, rules)
    table["excluded"] = [files.failures.get(path, "") for path in table["path"]]
    whole = check_set(table, rules)
    found: dict[str, Any] = json.loads(json.dumps(to_json(table, files, whole)))
    return found


def blocked() -> dict[str, Any]:
    unreadable = row(HOSTILE, SCRIPT, "", error="OSError: <i>short</i>", pixels="", frames=0)
    copy = row("dog", SCRIPT, "test", pixels="dog train.jpg")
    return stored(unreadable, copy, row("dog", "z.gif", "", format="GIF", width=8))


def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


class Elements(HTMLParser):
    """The tags, addresses and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "data")]

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag == "td" else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def test_passed_set(tmp_path: Path) -> None:
    index = render_data_docs(stored(), tmp_path / "docs")
    found = Elements(index.read_text(encoding="utf-8"))

    assert index == tmp_path / "docs" / "index.html"
    assert "Passed" in found.text
    assert "Blocked" not in found.text
    assert [a for a in found.addresses if a] == ["files.html", "set.html"]
    assert "7 of 7 met" in found.text


def test_index_shows_verdict_problems_counts_and_files(tmp_path: Path) -> None:
    result = blocked()
    found = Elements(render_data_docs(result, tmp_path / "docs").read_text(encoding="utf-8"))

    assert "Blocked" in found.text
    assert "7 of 9 files kept, 2 left out" in re.sub(r"\s+", " ", found.text)
    assert all(problem in found.text for problem in result["problems"])
    assert all(f["path"] in found.text and f["reason"] in found.text for f in result["excluded"])
    assert re.search(r"dog\s+1\s+1\s+2\s+4\s", found.text)


def test_long_list_of_files_says_how_many_more(tmp_path: Path) -> None:
    index = render_data_docs({**blocked(), "files": 1234}, tmp_path / "docs")

    assert "and 1225 more" in index.read_text(encoding="utf-8")


def test_suite_pages_hold_every_expectation_with_a_visible_status(tmp_path: Path) -> None:
    result = blocked()
    render_data_docs(result, tmp_path / "docs")
    for suite in result["suites"]:
        page = (tmp_path / "docs" / f"{suite['name']}.html").read_text(encoding="utf-8")
        text = Elements(page).text
        for stored_result in suite["results"]:
            assert stored_result["expectation_config"]["description"] in text
        failed = sum(not r["success"] for r in suite["results"])
        assert failed > 0
        assert page.count('<i class="fas fa-times text-danger"') == failed
        assert page.count('<i class="fas fa-check-circle') == len(suite["results"]) - failed
    assert '.fa-times::before { content: "\\2717' in page
    assert '.fa-check-circle::before { content: "\\2713' in page


def test_suite_pages_name_the_failing_files(tmp_path: Path) -> None:
    render_data_docs(blocked(), tmp_path / "docs")
    found = {name: Elements(page).text for name, page in pages(tmp_path / "docs").items()}

    assert f"{HOSTILE}/{SCRIPT}" in found["files.html"]
    assert "OSError: <i>short</i>" in found["files.html"]
    assert f"dog/{SCRIPT}, dog/train.jpg" in found["set.html"]


def test_names_of_files_and_classes_never_become_markup(tmp_path: Path) -> None:
    render_data_docs(blocked(), tmp_path / "docs")
    for page in pages(tmp_path / "docs").values():
        assert not {"script", "b", "u"} & set(Elements(page).tags)
        assert "&amp;lt;" not in page


def test_pages_load_nothing(tmp_path: Path) -> None:
    render_data_docs(blocked(), tmp_path / "docs")
    written = pages(tmp_path / "docs")

    assert list(written) == ["files.html", "index.html", "set.html"]
    for page in written.values():
        found = Elements(page)
        assert set(found.addresses) <= {"index.html", "files.html", "set.html"}
        assert not {"script", "link", "img", "iframe"} & set(found.tags)
        assert not re.search(r"https?://|@import|url\(", page)


def test_every_link_leads_to_a_page(tmp_path: Path) -> None:
    render_data_docs(stored(), tmp_path / "docs")
    for page in pages(tmp_path / "docs").values():
        assert all((tmp_path / "docs" / a).is_file() for a in Elements(page).addresses)


def test_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    result = blocked()
    render_data_docs(result, tmp_path / "one")
    render_data_docs(result, tmp_path / "two")

    assert pages(tmp_path / "one") == pages(tmp_path / "two")


def test_great_expectations_reports_no_rendering_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Great Expectations only logs what it cannot render, and leaves a gap in the page."""
    result = blocked()
    caplog.clear()
    render_data_docs(result, tmp_path / "docs")

    assert caplog.records == []


def test_new_pages_replace_old_ones(tmp_path: Path) -> None:
    render_data_docs(blocked(), tmp_path / "docs")
    index = render_data_docs(stored(), tmp_path / "docs")

    assert "Passed" in index.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(DataError, match=r"notes\.txt"):
        render_data_docs(stored(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("change", [{"suites": None}, {"suites": [{"name": "../x"}]}])
def test_other_documents_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    document = {**stored(), **change}
    if change["suites"] is None:
        del document["suites"]

    with pytest.raises(DataError, match="run the validate stage again"):
        render_data_docs(document, tmp_path / "docs")
    assert list(tmp_path.iterdir()) == []


def test_path_that_is_no_unicode_is_shown(tmp_path: Path) -> None:
    result = stored()
    result["excluded"] = [{"path": "dog/\udcff.jpg", "reason": "cannot be decoded"}]
    index = render_data_docs(result, tmp_path / "docs")

    assert "dog/&#56575;.jpg" in index.read_text(encoding="utf-8")


def test_met_expectations_say_what_was_checked(tmp_path: Path) -> None:
    render_data_docs(blocked(), tmp_path / "docs")
    files, whole = (Elements(pages(tmp_path / "docs")[name]).text for name in ("files.html", "set.html"))

    assert "9 files checked" in files  # every file has a class
    assert "1 of 9 files" in files  # one cannot be decoded
    assert "classes checked" in whole
    assert "% unexpected" not in files + whole


def test_headline_agrees_with_what_is_not_met(tmp_path: Path) -> None:
    some = stored(
        *[row("dog", f"{n}.jpg", "train") for n in range(20)], row("dog", "z.gif", "", format="GIF")
    )
    text = " ".join(
        Elements(render_data_docs(some, tmp_path / "docs").read_text(encoding="utf-8")).text.split()
    )

    assert "Passed, 1 of 27 files left out" in text
    assert "1 of 17 expectations is not met" in text
    assert "6 of 7 met; the page names what fails" in text


def test_files_left_out_are_shown_if_they_can_be_decoded(tmp_path: Path) -> None:
    data, result = tmp_path / "data", stored()
    (data / "dog").mkdir(parents=True)
    for path in (data / "dog" / "small.png", tmp_path / "outside.png"):
        Image.new("RGB", (20, 10), "red").save(path)
    (data / "dog" / "text.png").write_text("no picture")
    names = ("dog/text.png", "dog/small.png", "dog/gone.png", "../outside.png")
    result["excluded"] = [{"path": name, "reason": "is bad"} for name in names]
    page = render_data_docs(result, tmp_path / "docs", data).read_text(encoding="utf-8")

    assert page.count("<img") == 1
    assert "dog/small.png" in page[page.index("<img") :][:3000]
