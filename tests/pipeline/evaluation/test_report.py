import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from headstart.pipeline.evaluation.metrics import Interval, classification_metrics
from headstart.pipeline.evaluation.report import (
    Figure,
    Mistake,
    Nearest,
    Report,
    in_turn,
    majority_note,
    render_report,
    title_of,
    training_note,
)
from headstart.pipeline.pages.html import thumbnail_jpeg

VOID = {"meta", "link", "img", "br"}
GREY = np.full((40, 80, 3), 127, np.uint8)


class Page(HTMLParser):
    """The page's text, its tags with their attributes, and the tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def mistake(number: int, confidence: float) -> Mistake:
    return Mistake(f"data/ok/{number}.jpg", "ok", "defect", confidence, thumbnail_jpeg(GREY))


def png_bytes(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def report() -> Report:
    labels = np.array([0] * 10 + [1] * 10)
    right = np.where(np.arange(20) % 5 == 0, 0.4, 0.9)
    scores = np.where(labels == 1, right, 1 - right)
    png = png_bytes(GREY)
    return Report(
        title="Casting & forging",
        banner=None,
        facts=[("Backbone", "IMAGENET1K_V1"), ("Cut", "classifier.6")],
        metrics=classification_metrics(
            labels,
            np.stack([1 - scores, scores], axis=1),
            ["defect", "ok"],
            confidence=0.9,
            resamples=50,
            seed=0,
        ),
        notes=["Always answering “ok” is right for 50.0% of these images."],
        images=[
            Figure("Counts", "images", png, "data"),
            Figure("History", "by epoch", png, "training"),
            Figure("Confusion", "rows are true", png),
        ],
        sections=[],
        mistakes=[mistake(1, 0.6), mistake(2, 0.61)],
        excluded=[("data/ok/broken.jpg", "cannot be decoded")],
        counts={"train": {"defect": 31, "ok": 29}, "test": {"defect": 10}},
        links=[("Run", "https://example.org/?a=1&b=2")],
    )


def test_is_one_page_that_needs_nothing_else(report: Report) -> None:
    html = render_report(report)
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert page.open == []
    assert [a["src"] for a in page.attributes("img") if not str(a["src"]).startswith("data:")] == []
    assert page.attributes("script") == []
    assert re.findall(r"url\(|@import", html) == []
    assert "default-src 'none'" in html


def test_same_report_same_bytes(report: Report) -> None:
    assert render_report(report) == render_report(replace(report))


def test_sections_come_in_the_order_of_the_questions(report: Report) -> None:
    text = Page(render_report(report)).text
    marks = ["Casting & forging", "Accuracy", "80.0%", "Log loss", "90% confidence", "Confusion."]
    marks += ["Precision", "History.", "Mistakes", "Counts.", "left out", "Backbone"]
    positions = [text.index(mark) for mark in marks]
    assert positions == sorted(positions)


def test_tiles_have_their_intervals(report: Report) -> None:
    interval = report.metrics.intervals["roc_auc"]
    text = Page(render_report(report)).text
    assert f"{interval.low:.3f} to {interval.high:.3f}" in text
    undefined = replace(report.metrics, roc_auc=None, intervals={})
    text = Page(render_report(replace(report, metrics=undefined))).text
    assert "n/a" in text
    assert " to " not in text[: text.index("Results")]


def test_a_share_short_of_one_is_not_shown_as_one(report: Report) -> None:
    nearly = replace(report.metrics, accuracy=0.99999)
    assert "100.0%" not in Page(render_report(replace(report, metrics=nearly))).text
    every = replace(report.metrics, accuracy=1.0)
    text = Page(render_report(replace(report, metrics=every, mistakes=[]))).text
    assert "100.0%" in text
    assert "every test image is classified correctly" in text


def test_banner_only_where_there_is_one(report: Report) -> None:
    assert 'class="banner"' not in render_report(report)
    assert "Backbone weights: random." in render_report(replace(report, banner="Backbone weights: random."))


def test_mistakes_are_the_most_confident_ones(report: Report) -> None:
    many = [mistake(number, 0.5 + number / 100) for number in range(40)]
    text = Page(render_report(replace(report, mistakes=many))).text
    shown = re.findall(r"data/ok/(\d+)\.jpg", text)
    assert shown == [str(number) for number in range(39, 15, -1)]
    assert "24 of the 4 test images" in text  # the 4 comes from the metrics


def test_every_kind_of_mistake_has_its_turn() -> None:
    kinds = [(0, 1)] * 30 + [(1, 0)] * 2 + [(2, 0)]
    chosen = in_turn(kinds, 5)
    assert chosen == [0, 1, 30, 31, 32]
    assert in_turn(kinds, 100) == list(range(33))


def test_the_title_names_the_number_of_other_classes() -> None:
    assert title_of(["a", "b", "c", "d"]) == "Headstart: a / b / c / d"
    assert title_of(list("abcdefgh")) == "Headstart: a / b / c / d and 4 more classes"


def test_notes_say_what_to_compare_the_figures_with(report: Report) -> None:
    assert "Always answering “ok” is right for 50.0% of these images." in Page(render_report(report)).text
    assert majority_note("ants", 0.603).startswith("Always answering “ants” is right for 60.3%")
    assert "the head knows them better" in training_note(0.92, 0.65, Interval(0.55, 0.74))
    for plain in (
        training_note(0.7, 0.65, Interval(0.55, 0.74)),
        training_note(1, 0.98, Interval(0.94, 0.99)),
    ):
        assert plain.endswith("% of the training images were right.")


def test_counts_have_totals_and_zeros(report: Report) -> None:
    html = render_report(report)
    rows = re.findall(r"<tr><th scope=\"row\">(\w+)</th>((?:<td class=\"number\">\d+</td>)+)", html)
    numbers = {name: re.findall(r"\d+", cells) for name, cells in rows}
    assert numbers == {
        "defect": ["31", "10", "41"],
        "ok": ["29", "0", "29"],
        "All": ["60", "10", "70"],
    }


def test_excluded_files_are_counted_but_not_all_shown(report: Report) -> None:
    excluded = [(f"data/ok/x{number}.jpg", "too small") for number in range(250)]
    text = Page(render_report(replace(report, excluded=excluded))).text
    assert text.count("too small") == 200
    assert "250 files left out" in text
    assert "No file was left out" in Page(render_report(replace(report, excluded=[]))).text


def test_names_are_text_and_never_markup(report: Report) -> None:
    hostile = '<script>alert("x")</script>\udcff'
    html = render_report(
        replace(
            report,
            title=hostile,
            facts=[(hostile, hostile)],
            excluded=[(hostile, hostile)],
            mistakes=[replace(mistake(1, 0.9), path=hostile, label=hostile)],
            images=[Figure(hostile, '" onerror="x', png_bytes(GREY))],
        )
    )
    page = Page(html)
    assert page.attributes("script") == []
    assert all("onerror" not in attributes for attributes in page.attributes("img"))
    assert page.text.count('<script>alert("x")</script>\\udcff') >= 7
    assert html.encode("utf-8")


def test_images_are_inlined_whole_with_their_size(report: Report) -> None:
    first = Page(render_report(report)).attributes("img")[0]
    assert str(first["src"]).partition(",")[2] == base64.b64encode(png_bytes(GREY)).decode()
    assert (first["width"], first["height"]) == ("80", "40")


@pytest.mark.parametrize(
    ("shape", "size"), [((300, 200), (64, 96)), ((20, 30), (30, 20)), ((1, 900), (96, 1))]
)
def test_thumbnail_fits_and_is_never_enlarged(shape: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    jpeg = thumbnail_jpeg(pixels)
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", size, "RGB")
    assert jpeg == thumbnail_jpeg(pixels.copy())


def test_a_mistake_is_shown_with_its_evidence_and_its_nearest_images(report: Report) -> None:
    plain = Page(render_report(replace(report, mistakes=[mistake(1, 0.9)])))
    near = (
        Nearest("train/<a>.jpg", "defect", 0.876, thumbnail_jpeg(GREY)),
        Nearest("train/b.jpg", "ok", -0.5, thumbnail_jpeg(GREY)),
    )
    why = replace(mistake(1, 0.9), overlay_jpeg=thumbnail_jpeg(GREY), nearest=near)
    page = Page(render_report(replace(report, mistakes=[why])))
    assert len(page.attributes("img")) == len(plain.attributes("img")) + 3
    assert "Evidence for defect" in [image.get("alt") for image in page.attributes("img")]
    assert {"title": "train/<a>.jpg"} in page.attributes("span")
    assert "defect, 0.88" in page.text
    assert "ok, -0.50" in page.text
    assert "evidence" not in plain.text
