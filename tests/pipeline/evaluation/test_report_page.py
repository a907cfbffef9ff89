"""The report in Chromium, from a file: its script runs under the page's own policy."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Browser, browser
from results import make_results
from sections import section

from headstart.pipeline.evaluation import decisions, stage
from headstart.pipeline.evaluation.explanations import Explanation
from headstart.pipeline.evaluation.report import render_report
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.thresholds import per_thousand, thresholds
from headstart.pipeline.evaluation.wording import number, numbers, threshold

pytestmark = pytest.mark.server
CLASSES = 40
ALL, RIGHT, HOME = "\ue009a\ue000", "\ue014", "\ue011"  # keys of WebDriver: control and a, an arrow, home
FORM = "//form[@data-chooser]"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project; its mistakes have no evidence, because there is no network that could give any."""
    monkeypatch.chdir(tmp_path)
    nothing = Explanation(None, ())
    monkeypatch.setattr(stage.explanations, "of", lambda results, places: [nothing] * len(places))


def write_report(
    folder: Path, labels: Sequence[int], answers: Sequence[int], names: Sequence[str]
) -> Results:
    found = make_results(folder, labels, answers, names)
    (folder / "report.html").write_text(render_report(stage._report(found)), encoding="utf-8")
    return found


def test_typing_a_name_leaves_its_row(tmp_path: Path) -> None:
    labels = [place % CLASSES for place in range(80)]
    write_report(tmp_path, labels, labels, [f"kind {number}." for number in range(CLASSES)])
    with browser(tmp_path) as window:
        window.open((tmp_path / "report.html").as_uri())
        assert "kind 8." in window.text()
        window.write("//section[@id='classes']//input", "Kind 7.")
        assert f"1 of {CLASSES}" in window.text()
        window.write("//section[@id='classes']//input", "none")
        assert f"0 of {CLASSES}" in window.text()


def shown(window: Browser) -> dict[str, str]:
    """The chooser's figures by name."""
    script = """
        const form = document.querySelector("[data-chooser]");
        const all = [...form.querySelectorAll("[data-show]")];
        const texts = all.map((each) => [each.dataset.show, each.textContent]);
        return {...Object.fromEntries(texts), threshold: form.elements.threshold.value};"""
    found: dict[str, str] = window.run(script)
    return found


def test_a_threshold_is_chosen_by_keys_and_has_the_figures_of_the_table(tmp_path: Path) -> None:
    labels = [0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1] * 3
    answers = [1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0] * 3
    found = write_report(tmp_path, labels, answers, ["a <b>", 'c "d"'])
    choice = thresholds(found)
    assert choice is not None
    with browser(tmp_path) as window:
        window.open((tmp_path / "report.html").as_uri())
        own = shown(window)
        assert own["threshold"] == f"from {threshold(choice.best.value)} on"
        assert own["interval"] == numbers(per_thousand(choice.cost))
        rows = window.run(
            "return [...document.querySelectorAll('.thresholds tbody tr')].map("
            "(row) => [...row.cells].map((cell) => cell.innerText.split(' ')[0]))"
        )
        assert len(rows) == len(choice.rows)
        for point, row in zip(choice.rows, rows, strict=True):
            place = choice.points.index(point)
            window.run(f"document.querySelector('[name=point]').value = {place - 1}")
            window.write(f"{FORM}//input[@name='point']", RIGHT)
            own = shown(window)
            cells = [own["mistaken0"], own["mistaken1"], own["recall"], own["precision"], own["cost"]]
            assert [cell.split(" ")[0] for cell in cells] == row[1:]
        _check_costs(window, found)


def test_the_cheapest_threshold_is_that_of_a_report_with_these_costs(tmp_path: Path) -> None:
    """Images that all are right leave a wide gap, in which every threshold costs the same."""
    labels = [0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1] * 3
    with browser(tmp_path) as window:
        for answers in (labels, [1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0] * 3):
            found = write_report(tmp_path, labels, answers, ["a <b>", 'c "d"'])
            window.open((tmp_path / "report.html").as_uri())
            for missed, alarm in ((1, 1), (1.5, 1), (40, 1), (1, 3), (2, 9), (1, 1000)):
                _check_next_report(window, found, missed, alarm)


def _check_next_report(window: Browser, found: Results, missed: float, alarm: float) -> None:
    for field, value in (("cost0", missed), ("cost1", alarm)):
        window.write(f"{FORM}//input[@name='{field}']", f"{ALL}{value}")
    options = section("evaluate", resamples=20, costs={'c "d"': missed, "a <b>": alarm})
    choice = thresholds(replace(found, options=options))
    assert choice is not None
    own = choice.best.value if choice.name == 'c "d"' else 1 - choice.best.value
    assert float(shown(window)["call"].partition(" >= ")[2]) == pytest.approx(own, abs=1e-9)


def _check_costs(window: Browser, found: Results) -> None:
    """Other costs lead to what is cheapest for them on validation; the other class mirrors the threshold."""
    window.write(f"{FORM}//input[@name='cost0']", f"{ALL}7.5")
    own = shown(window)
    known = found.validation.probabilities[:, 1], found.validation.labels == 1
    # the first field is the cost of a mistake on an image of the class with the threshold, here the second
    least = decisions.errors_at(*known, decisions.best_threshold(*known, 7.5, 1), 7.5, 1).cost
    assert f"The cheapest on validation: {number(least * 1000)} per" in own["cheapest"]
    assert own["params"] == 'costs: {"c \\"d\\"": 7.5, "a <b>": 1}'
    value = float(own["call"].partition(" >= ")[2])
    assert own["call"].startswith('scores["probability:c \\"d\\""] >= ')
    errors = decisions.errors_at(found.probabilities[:, 1], found.labels == 1, value, 7.5, 1)
    assert own["cost"] == number(errors.cost * 1000)
    assert (own["mistaken0"], own["mistaken1"]) == (str(errors.missed), str(errors.false_alarms))
    window.click(f"{FORM}//option[@value='1']")
    other = shown(window)
    assert other["threshold"] == f"above {threshold(1 - value)}"
    assert other["call"] == own["call"].replace(">=", "<")
    assert [other[f"{kind}{side}"] for kind in ("found", "mistaken") for side in (0, 1)] == [
        own[f"{kind}{side}"] for kind in ("found", "mistaken") for side in (0, 1)
    ]
    assert (own["kind0"], other["kind0"]) == ("false negative", "false positive")
    window.write(f"{FORM}//input[@name='point']", HOME)
    assert "Cheapest on validation: above" in shown(window)["cheapest"]
    window.click(f"{FORM}//button")
    assert shown(window) == other
    window.write(f"{FORM}//input[@name='cost1']", f"{ALL}0")
    assert (shown(window)["cost"], shown(window)["cheapest"]) == ("", "A cost must be a number above 0.")
