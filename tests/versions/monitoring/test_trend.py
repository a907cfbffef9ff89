"""The times of champions from the journal, and the page that compares them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from headstart.cli.json_output import as_json
from headstart.errors import TrackingError
from headstart.versions.monitoring import trend, trend_page
from headstart.versions.monitoring.trend import Accuracy, Champion, Reign, Trend, reigns
from headstart.versions.registry.recorded_images import TestImages
from headstart.versions.release.answers import Scores
from headstart.versions.release.journal import Change, Entry, Kind

DAYS = [f"2026-0{month}-01T00:00:00+00:00" for month in range(1, 8)]


def entry(number: int, kind: Kind, before: str | None, after: str | None) -> Entry:
    return Entry(number, DAYS[number - 1], "", Change(kind, before, after, "someone"))


ENTRIES = [
    entry(1, "promotion", None, "1"),
    entry(2, "promotion", "1", "3"),
    entry(3, "refusal", "3", "3"),
    entry(4, "rollback", "3", "1"),
    entry(5, "removal", "1", None),
    entry(6, "promotion", None, "4"),
]


def test_every_time_of_a_champion_is_listed() -> None:
    assert reigns(ENTRIES, "2025") == [
        Reign("1", DAYS[0], DAYS[1]),
        Reign("3", DAYS[1], DAYS[3]),
        Reign("1", DAYS[3], DAYS[4]),
        Reign("4", DAYS[5], None),
    ]


def test_those_that_ended_before_are_left_out() -> None:
    assert [reign.version for reign in reigns(ENTRIES, "2026-03-15")] == ["3", "1", "4"]
    assert [reign.version for reign in reigns(ENTRIES, "2027")] == ["4"]
    assert reigns([], "2026") == []


def images(labels: Sequence[str]) -> TestImages:
    pixels = [f"p{index}" for index in range(len(labels))]
    return TestImages([Path(name) for name in pixels], list(labels), pixels, pixels)


class Known:
    """A record of which only the classes are read."""

    def __init__(self, *classes: str) -> None:
        self.classes = dict.fromkeys(classes)


def test_only_classes_that_every_champion_knows_count() -> None:
    left = trend._of_classes(images(["a", "b", "c", "a"]), [Known("a", "b"), Known("a", "c")])  # type: ignore[list-item]
    assert left.labels == ["a", "a"]


def test_a_champion_that_does_not_answer_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(uri: str, files: Sequence[Path]) -> Scores:
        if uri.endswith("/2"):
            raise TrackingError("it does not load\nTraceback")
        return Scores(["a", "b", "b", "b"], [False] * 4, ("a", "b"), None, 0.0, None)

    monkeypatch.setattr(trend, "score", answer)
    notes: dict[str, list[str]] = {}
    found = trend._scores("own", ["1", "2"], images(["a", "a", "b", "b"]), 0.9, notes, lambda text: None)
    assert notes == {"2": ["it does not load"]}
    assert list(found) == ["1"]
    assert (found["1"].value, found["1"].images) == (0.75, 4)
    assert found["1"].low < 0.75 < found["1"].high


@pytest.mark.parametrize("count", [1, 12])
def test_the_page_shows_what_was_and_what_was_not_measured(count: int) -> None:
    then, now = Accuracy(0.9, 0.8, 0.95, 40), Accuracy(0.8, 0.6, 0.9, 20)
    champions = [Champion(Reign(str(number), DAYS[0], None), then, now) for number in range(count)]
    gone = Champion(Reign("99", DAYS[1], None), note="<gone>")
    found = Trend("own", "models:/own/5", 50, 20, 10, 20, (*champions, gone))
    assert found.sentence() == (
        "20 of 50 test images of models:/own/5 count; 20 were trained on by a champion and 10 are of a class "
        "that not every champion knows"
    )
    page = trend_page.as_html(found)
    assert "0.800 (0.600 to 0.900; 20 images)" in page
    assert "not measured" in page
    assert "&lt;gone&gt;" in page
    text = trend_page.as_text(found)
    assert "<gone>" in text.splitlines()[-1]
    assert "0.900 (0.800 to 0.950; 40 images)" in text
    assert json.loads(as_json(found.to_dict()))["champions"][-1]["reign"]["version"] == "99"


def test_the_plot_of_nothing_measured_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(trend_page.trend_png([Champion(Reign("1", DAYS[0], None))]))
    with Image.open(path) as found:
        assert found.size[0] > 300
