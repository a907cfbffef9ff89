"""The report as a page: what it shows for few and many classes, and that it stays small and safe."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from results import make_results

from headstart.ground import paths
from headstart.pipeline.evaluation import stage
from headstart.pipeline.evaluation.explanations import Explanation
from headstart.pipeline.evaluation.metrics import Interval
from headstart.pipeline.evaluation.report import Section, render_report, tiles, title_of
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections import classes, confusion, data, gallery, mistakes, training
from headstart.pipeline.evaluation.verdict import Verdict, training_note, verdict
from headstart.pipeline.explanation.similar import Nearest
from headstart.pipeline.pages.html import thumbnail_jpeg

VOID = {"input", "meta", "link", "img", "br"}
MOST_BYTES = 5_000_000


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
        if "script" not in self.open and "style" not in self.open:
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results(
    labels: Sequence[int], predicted: Sequence[int], names: Sequence[str] = ("defect", "ok")
) -> Results:
    return make_results(Path(), labels, predicted, names)


def two_classes() -> Results:
    """Ten images of each class, of which three and one are wrong."""
    return results([0] * 10 + [1] * 10, [1, 1, 1] + [0] * 7 + [0] + [1] * 9)


@pytest.fixture(autouse=True)
def unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mistakes without evidence: there is no network here that could give any (test_explanations.py)."""
    nothing = Explanation(None, ())
    monkeypatch.setattr(stage.explanations, "of", lambda results, places: [nothing] * len(places))


def html_of(found: Results) -> str:
    return render_report(stage._report(found))


def random_results(count: int, images: int) -> Results:
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.arange(images) % count)
    wrong = generator.random(images) < 0.3
    predicted = np.where(wrong, generator.integers(0, count, images), labels)
    names = [f"a class whose name is long, number {number}, of all" for number in range(count)]
    return make_results(Path(), labels.tolist(), predicted.tolist(), names)


def test_is_one_page_that_needs_nothing_else() -> None:
    html = html_of(two_classes())
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert page.open == []
    assert [a["src"] for a in page.attributes("img") if not str(a["src"]).startswith("data:")] == []
    assert re.findall(r"url\(|@import|https?://", html) == []
    assert "default-src 'none'" in html


def test_its_one_script_is_allowed_by_its_digest() -> None:
    html = html_of(two_classes())
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert not [key for _, attributes in Page(html).tags for key in attributes if key.startswith("on")]


def test_same_results_same_bytes() -> None:
    assert html_of(two_classes()) == html_of(two_classes())


def test_the_first_view_has_the_verdict_the_figures_and_what_to_do() -> None:
    text = Page(html_of(two_classes())).text
    marks = [
        "Headstart: defect / ok",
        "right for 80.0% of 20 test images",
        "Accuracy",
        "Next:",
        "95% confidence",
    ]
    marks += [
        "Beside this page",
        "Test images; rows",
        "The lowest recall",
        "by true class",
        "classified correctly",
        "ROC.",
    ]
    marks += ["History.", "Images.", "Backbone digest"]
    positions = [text.index(mark) for mark in marks]
    assert positions == sorted(positions)


def test_the_contents_lead_to_every_section() -> None:
    page = Page(html_of(two_classes()))
    ids = [a["id"] for a in page.attributes("section")]
    inside = [str(a["href"])[1:] for a in page.attributes("a") if str(a.get("href", "")).startswith("#")]
    assert inside[: len(ids)] == ids
    assert {"confusion", "classes", "mistakes", "right-answers", "training", "data", "model"} <= set(ids)


@pytest.mark.parametrize("count", [2, 8, 40])
def test_every_link_inside_the_page_leads_to_a_picture_or_section(count: int) -> None:
    page = Page(html_of(random_results(count, 200)))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.attributes("a") if str(a["href"]).startswith("#")} <= set(ids)


@pytest.mark.parametrize(("count", "images"), [(2, 30), (10, 60), (100, 500), (1000, 3000)])
def test_the_page_stays_small_and_shows_every_class(count: int, images: int) -> None:
    found = random_results(count, images)
    html = html_of(found)
    assert len(html.encode()) < MOST_BYTES / 2  # pictures of real size take the rest
    text = Page(html).text
    assert all(name in text for name in found.classes)
    sizes = [
        (int(str(a["width"])), int(str(a["height"]))) for a in Page(html).attributes("img") if "width" in a
    ]
    assert max(max(size) for size in sizes) < 1800


def test_all_right_all_wrong_and_a_class_without_images() -> None:
    every = Page(html_of(results([0, 0, 1], [0, 0, 1]))).text
    assert "every test image is classified correctly" in every
    assert "No class is taken for another" in every
    assert "100.0%" in every
    none = Page(html_of(results([0, 0, 1], [1, 1, 0]))).text
    assert "Not usable" in none
    assert "Right answers" not in none
    lacking = Page(html_of(results([0, 0, 1], [0, 2, 1], ["a", "b", "c"]))).text
    assert "no test images" in lacking
    assert "never predicted" not in lacking
    assert "never predicted" in Page(html_of(results([0, 0, 1], [0, 0, 0]))).text


def test_verdict_compares_with_the_commonest_answer() -> None:
    def of(labels: Sequence[int], predicted: Sequence[int]) -> Verdict:
        found = results(labels, predicted)
        return verdict(found.metrics, stage._above_commonest(found), is_random=False)

    better = of([0] * 50 + [1] * 50, [1] * 15 + [0] * 35 + [0] * 5 + [1] * 45)
    assert better.is_good
    assert better.sentence.endswith(
        "better than always answering “defect”, the commonest of them, which is right for 50.0%."
    )
    alike = of([0] * 7 + [1] * 3, [0] * 6 + [1] * 4)
    assert not alike.is_good
    assert (
        "cannot be told apart from always answering “defect”, the commonest of them, which is right for 70.0%"
        in alike.sentence
    )
    worse = of([0] * 70 + [1] * 30, [1] * 100)
    assert "worse than always answering “defect”" in worse.sentence
    for count in (1, 13, 19):  # right for all, or wrong for one: no worse than chance explains
        assert "100.0%), which cannot be told apart from" in of([0] * count, [0] * count).sentence
    assert "cannot be told apart from" in of([0], [1]).sentence


def test_verdict_says_what_to_do_next() -> None:
    steps = verdict(two_classes().metrics, Interval(0.1, 0.6), is_random=True).steps
    assert "backbone.weights" in steps[0]
    assert "“defect”: 7 of its 10 images are found" in steps[1]
    assert "points wide" in steps[2]
    assert "gate/comparison.html" in steps[-1]


def test_images_linked_by_group_or_near_duplicate_stay_together() -> None:
    found = make_results(Path(), [0] * 4, [0] * 4, ("a", "b"), groups=["g", "g", "", ""])
    manifest = pd.read_parquet(paths.MANIFEST)
    manifest.loc[manifest["path"].isin(["a/1.jpg", "a/2.jpg"]), "similar"] = "near"
    manifest.to_parquet(paths.MANIFEST)
    first, second, third, fourth = found.families[-4:]
    assert first == second == third != fourth


def test_tiles_have_their_intervals() -> None:
    found = two_classes().metrics
    by_name = {tile.name: tile for tile in tiles(found)}
    area = found.intervals["roc_auc"]
    assert by_name["ROC AUC"].interval == f"{area.low:.3f} to {area.high:.3f}"
    undefined = {tile.name: tile for tile in tiles(replace(found, roc_auc=None, intervals={}))}
    assert (undefined["ROC AUC"].value, undefined["ROC AUC"].interval) == ("n/a", "")
    nearly = {tile.name: tile for tile in tiles(replace(found, accuracy=0.99999))}
    assert nearly["Accuracy"].value == "99.999%"


def test_banner_only_where_there_is_one() -> None:
    found = two_classes()
    assert 'class="banner"' not in html_of(found)
    found.head["backbone"] = {**found.head["backbone"], "random": True}
    assert "Backbone weights: random." in html_of(found)


def test_training_note_says_when_the_head_knows_its_images() -> None:
    assert "the head knows them better" in training_note(0.92, 0.65, Interval(0.55, 0.74))
    for plain in (
        training_note(0.7, 0.65, Interval(0.55, 0.74)),
        training_note(1, 0.98, Interval(0.94, 0.99)),
    ):
        assert plain.endswith("% of the training images were right.")


def test_the_title_names_the_number_of_other_classes() -> None:
    assert title_of(["a", "b", "c", "d"]) == "Headstart: a / b / c / d"
    assert title_of(list("abcdefgh")) == "Headstart: a / b / c / d and 4 more classes"
    assert title_of(["a" * 80, "b" * 9, "c" * 2]) == f"Headstart: {'a' * 80} / {'b' * 9} and 1 more class"
    assert title_of(["a" * 300, "b"]) == f"Headstart: {'a' * 300} and 1 more class"


def test_section_ids_are_stable_names() -> None:
    assert Section("What would more data give?", None).id == "what-would-more-data-give"  # type: ignore[arg-type]


def test_classes_come_worst_first_with_wilsons_interval() -> None:
    rows = classes.rows(results([0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], ["a", "b", "c"]))
    assert [(row.name, row.right) for row in rows] == [("b", 3), ("a", 2), ("c", 0)]
    assert rows[0].interval is not None
    assert rows[0].interval.low == pytest.approx(
        0.3006, abs=1e-4
    )  # R: binom.confint(3, 4, methods = "wilson")
    assert rows[2].interval is None


def test_intervals_of_classes_count_groups() -> None:
    labels, predicted = [0] * 8 + [1] * 8, [0] * 4 + [1] * 4 + [1] * 8
    alone = classes.rows(make_results(Path(), labels, predicted, ["a", "b"]))
    grouped = classes.rows(
        make_results(Path(), labels, predicted, ["a", "b"], [str(place // 4) for place in range(16)])
    )
    widths = [
        [row.interval.high - row.interval.low for row in rows if row.interval] for rows in (alone, grouped)
    ]
    assert widths[1][0] > widths[0][0] + 0.1


def test_confusion_shows_the_worst_classes_and_counts_the_others() -> None:
    matrix = np.eye(40, dtype=np.int64) * 5
    matrix[7, 30], matrix[35, 7] = 3, 2
    assert confusion.worst(matrix, 3) == [7, 30, 35]
    assert confusion.worst(matrix, 40) == list(range(40))
    found = confusion.pairs(matrix, tuple(map(str, range(40))), {(7, 30)})
    assert [(each.label, each.predicted, each.count, each.link) for each in found] == [
        ("7", "30", 3, "wrong-7-30"),
        ("35", "7", 2, ""),
    ]
    assert found[0].share == 3 / 8


def test_mistakes_are_ordered_by_class_kind_and_confidence() -> None:
    labels = [0, 0, 1, 1, 1, 1, 2]
    answers = [1, 0, 0, 2, 0, 1, 2]
    places = gallery.mistakes(results(labels, answers, ["a", "b", "c"]))
    assert places == [4, 2, 3, 0]  # of b: taken for a, the more confident first, then for c; of a


def test_every_kind_of_mistake_has_its_turn() -> None:
    kinds = [(0, 1)] * 30 + [(1, 0)] * 2 + [(2, 0)]
    assert gallery.in_turn(kinds, 5) == [0, 1, 30, 31, 32]
    assert gallery.in_turn(kinds, 100) == list(range(33))
    assert gallery.in_turn([(2, 0), *kinds[:32]], 2) == [1, 31]
    many = results([0] * 90 + [1] * 5, [1] * 90 + [0] * 5)
    places = gallery.mistakes(many)
    assert len(places) == gallery.MISTAKES_SHOWN
    assert set(range(90, 95)) <= set(places)
    shown = mistakes.mistakes_at(many, places, 8)
    assert "48 of the 95 test images" in mistakes.section(many, places, shown).html


def test_right_answers_are_the_typical_and_the_doubtful_ones() -> None:
    found = results([0, 0, 0, 1, 1], [0, 0, 0, 1, 0])
    assert gallery.right_answers(found) == [3, 1, 0]  # b has the mistake, and one right answer


def test_a_mistake_shows_its_evidence_and_the_nearest_images() -> None:
    found = two_classes()
    [place, *_] = gallery.mistakes(found)
    [plain] = mistakes.mistakes_at(found, [place])
    assert "Nearest training images" not in mistakes.section(found, [place], [plain]).html
    near = Nearest("ok/<7>.jpg", "ok", 0.875, thumbnail_jpeg(np.zeros((8, 8, 3), np.uint8)))
    rich = replace(plain, overlay_jpeg=near.thumbnail_jpeg, nearest=(near,))
    html = str(mistakes.section(found, [place], [rich]).html)
    assert html.count("<img") == 3
    assert 'title="ok/&lt;7&gt;.jpg"' in html
    assert "0.88" in html


def test_counts_have_totals_and_zeros() -> None:
    counts = {"train": {"defect": 31, "ok": 29}, "test": {"defect": 10}}
    html = str(data.as_html(counts, [], []))
    rows = re.findall(r"<tr><th scope=\"row\">(\w+)</th>((?:<td class=\"number\">\d+</td>)+)", html)
    assert {name: re.findall(r"\d+", cells) for name, cells in rows} == {
        "defect": ["31", "10", "41"],
        "ok": ["29", "0", "29"],
        "All": ["60", "10", "70"],
    }
    assert "No file was left out" in html


def test_excluded_and_moved_files_are_counted_but_not_all_shown() -> None:
    counts = {"train": {"ok": 1}}
    placed = [{"label": "ok", "paths": list("abcde"), "before": "train", "after": "val"}] * 60
    text = Page(str(data.as_html(counts, [(f"x{n}.jpg", "too small") for n in range(250)], placed))).text
    assert text.count("too small") == 200
    assert "250 files left out" in text
    assert "60 pictures or groups moved" in text
    assert text.count("a, b, c and 2 more") == 50


def test_trials_are_shown_if_there_were_several(project: Path) -> None:
    found = two_classes()
    assert "Trials of the sweep" not in training.section(found).html
    table = pd.read_csv(project / paths.TRIALS)
    second = table.assign(trial=1, lr=0.5, val_loss=0.4, val_accuracy=0.9)
    third = table.assign(trial=2, lr=9.0, val_loss=np.nan, val_accuracy=np.nan, best_epoch=np.nan)
    trials = pd.concat([table, second, third])
    trials.to_csv(project / paths.TRIALS, index=False)
    text = Page(str(training.section(found).html)).text
    assert text.index("1 (kept)") < text.index("diverged")
    assert ("train.lr", "0.5") in training.settings(trials.reset_index(drop=True))
    assert "momentum" not in text  # no trial has one


def test_names_are_text_and_never_markup(project: Path) -> None:
    hostile = '<script>alert("x")</script>'
    found = results([0, 0, 1], [0, 1, 1], [hostile, '" onerror="x'])
    placed = [{"label": hostile, "paths": [hostile], "before": "train", "after": "val"}]
    (project / paths.VALIDATION).write_text(json.dumps({"placed": placed}))
    found.head["backbone"] = {**found.head["backbone"], "source": f"{hostile}\udcff"}
    html = html_of(found)
    page = Page(html)
    assert len(page.attributes("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert page.text.count(hostile) >= 7
    assert "\\udcff" in html
    assert html.encode("utf-8")


def test_plots_have_their_size_and_a_text_for_who_cannot_see_them() -> None:
    plots = [a for a in Page(html_of(two_classes())).attributes("img") if "width" in a]
    assert len(plots) == 6
    for each in plots:
        png = base64.b64decode(str(each["src"]).partition(",")[2])
        with Image.open(io.BytesIO(png)) as image:
            assert image.size == (int(str(each["width"])), int(str(each["height"])))
        assert len(str(each["alt"]).split()) > 5


@pytest.mark.parametrize(
    ("shape", "size"), [((300, 200), (64, 96)), ((20, 30), (30, 20)), ((1, 900), (96, 1))]
)
def test_thumbnail_fits_and_is_never_enlarged(shape: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    jpeg = thumbnail_jpeg(pixels)
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", size, "RGB")
    assert jpeg == thumbnail_jpeg(pixels.copy())


def test_long_names_are_cut_in_the_matrix_alone_and_stay_different() -> None:
    names = ["x" * 60 + end for end in ("a", "b")]
    found = results([0, 0, 1], [0, 1, 1], names)
    matrix, rest = str(confusion.section(found, set()).html).split("Most confused")
    shown = [f"{'x' * 26}…{'x' * 12}{end}" for end in ("a", "b")]
    assert all(matrix.count(f">{name}<") == 2 for name in shown)
    assert all(f'title="{name}"' in matrix and f">{name}<" in rest for name in names)
