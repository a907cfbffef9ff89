"""The section on probabilities, on result sets of every shape."""

import io
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from held import Held
from PIL import Image
from pydantic import ValidationError
from sections import section as params

from headstart.errors import ParamsError
from headstart.pipeline.evaluation.decisions import pr_curve
from headstart.pipeline.evaluation.distances import nearest_training
from headstart.pipeline.evaluation.metrics import classification_metrics
from headstart.pipeline.evaluation.results import Results, Validation
from headstart.pipeline.evaluation.sections.probabilities import section
from headstart.pipeline.evaluation.sections.probability_plots import coverage_png, pr_png
from headstart.pipeline.evaluation.sections.thresholds import thresholds
from headstart.pipeline.evaluation.wording import number
from headstart.pipeline.network.abstention import Abstention
from headstart.pipeline.network.network import INPUT
from headstart.pipeline.network.temperature import probabilities_of


def results(
    classes: int = 2,
    test: int = 80,
    sure: float = 3.0,
    temperature: float = 1.0,
    labels: np.ndarray | None = None,
    cut: str = "flatten",
    shape: tuple[int, ...] = (12,),
    grouped: bool = False,
    **options: Any,
) -> Results:
    """A head that is `sure` times as sure as it should be, on images drawn at random."""
    random = np.random.default_rng(0)
    sizes = {"test": test, "train": 40, "val": 60}
    drawn = {
        name: random.integers(0, classes, size) if labels is None or name != "test" else labels
        for name, size in sizes.items()
    }
    names = tuple(f"class {index}" for index in range(classes))
    shares = {}
    for name, own in drawn.items():
        logits = random.normal(0, 1, (len(own), classes))
        logits[np.arange(len(own)), own] += 2
        shares[name] = probabilities_of(torch.from_numpy(sure * logits), temperature).numpy()
    table = pd.DataFrame(
        {
            "split": [name for name, size in sizes.items() for _ in range(size)],
            "label": [names[index] for own in drawn.values() for index in own],
            "pixels": [str(index) for index in range(sum(sizes.values()))],
            "group": [str(index // 4) if grouped else "" for index in range(sum(sizes.values()))],
        }
    )
    count = len(table)
    own = params("evaluate", resamples=50, **options)
    return Results(
        options=own,
        head={"cut": cut},
        images=table,
        rows=Held(random.normal(0, 1, (count, *shape)).astype(np.float32)),
        table=table.iloc[:test].assign(row=range(test)),
        labels=drawn["test"],
        probabilities=shares["test"],
        classes=names,
        metrics=classification_metrics(
            drawn["test"], shares["test"], names, confidence=0.95, resamples=50, seed=0
        ),
        validation=Validation(range(test + 40, count), drawn["val"], shares["val"]),
        temperature=temperature,
        abstention=None,
    )


class Text(HTMLParser):
    """The words of a fragment, and the tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.parts: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"img", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def text_of(found: Results) -> str:
    made = section(found)
    assert made.title == "Probabilities"
    read = Text(str(made.html))
    assert read.open == []
    return read.text


SHAPES: dict[str, dict[str, Any]] = {
    "two classes": {},
    "many classes": {"classes": 40},
    "one image": {"test": 1},
    "no image of a class": {"labels": np.zeros(80, np.int64)},
    "all right": {"sure": 1e4},
    "maps": {"shape": (6, 7, 7)},
    "groups": {"grouped": True},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_made_for_sets_of_every_shape(shape: str) -> None:
    text = text_of(results(**SHAPES[shape]))
    assert "nan" not in text
    assert "distance above" in text
    assert ("Threshold for" in text) == (shape != "many classes")


def test_all_answers_wrong_and_all_equally_sure() -> None:
    found = results(classes=3)
    flat = np.full((80, 3), [0.5, 0.25, 0.25])
    wrong = np.ones(80, np.int64)
    text = text_of(results_with(found, labels=wrong, probabilities=flat))
    assert "80 answers are wrong" in text


def results_with(found: Results, **changes: Any) -> Results:
    changed = replace(found, **changes)
    metrics = classification_metrics(
        changed.labels, changed.probabilities, changed.classes, confidence=0.95, resamples=50, seed=0
    )
    return replace(changed, metrics=metrics)


def test_a_head_that_is_too_sure_is_advised_to_take_a_temperature() -> None:
    text = text_of(results(test=400, sure=8))
    found = re.search(r"fits the validation split best, ([\d.]+), they would claim", text)
    assert found
    assert float(found[1]) == pytest.approx(4, rel=0.4)
    assert "set train.temperature: true" in text


def test_a_fitted_temperature_is_shown_with_what_it_changed() -> None:
    text = text_of(results(test=400, sure=8, temperature=4.0))
    assert "The head has temperature 4.00" in text
    assert "without it they would claim" in text
    assert "set train.temperature" not in text


def test_the_costlier_class_is_the_one_with_the_threshold() -> None:
    text = text_of(results(costs={"class 0": 9.0}))
    assert "Threshold for “class 0”" in text
    assert "that is missed costs 9 " in text
    assert "Threshold for “class 1”" in text_of(results())


@pytest.mark.parametrize("cost", [1e-100, 1e100])
def test_the_cost_of_a_mistake_may_be_of_any_order(cost: float) -> None:
    text = text_of(results(costs={"class 0": cost}))
    assert "nan" not in text
    assert f"costs {number(cost)} " in text
    with pytest.raises(ValidationError, match="costs"):
        params("evaluate", costs={"class 0": cost**1.01})


@pytest.mark.parametrize("shape", ["two classes", "one image", "no image of a class", "groups"])
def test_the_chooser_holds_the_mistakes_of_each_threshold(shape: str) -> None:
    found = results(**SHAPES[shape], costs={"class 0": 9.0, "class 1": 2.0})
    choice = thresholds(found)
    assert choice is not None
    data = json.loads(choice.data())
    scores, own = found.probabilities[:, 0], found.labels == 0
    assert data["classes"] == ["class 0", "class 1"]
    for place, value in enumerate(data["thresholds"]):
        missed, alarms = int((own & (scores < value)).sum()), int((~own & (scores >= value)).sum())
        assert data["test"][place] == [missed, alarms]
        for side, (mistakes, images) in enumerate(((missed, own.sum()), (alarms, (~own).sum()))):
            low, high = data["intervals"][place][side]
            assert low <= mistakes / max(images, 1) <= high
    best = data["thresholds"].index(choice.best.value)
    assert best in data["corners"]
    costs = [(9 * missed + 2 * alarms) / data["validation_images"] for missed, alarms in data["validation"]]
    assert costs[best] == min(costs) == choice.best.validation.cost
    assert len(choice.data()) < 100_000


def test_a_class_that_a_threshold_never_answers_has_no_precision() -> None:
    choice = thresholds(results(sure=0.0))
    assert choice is not None
    assert choice.precisions(choice.points[-1])[0] == "never predicted"
    assert choice.recalls(choice.points[-1])[0][0] == "0.0%"


def test_a_class_that_is_best_never_answered_is_named_so() -> None:
    found = results()
    labels, scores = np.arange(60) // 50, np.tile([0.0, 1.0], (60, 1))
    found = replace(found, validation=replace(found.validation, labels=labels, probabilities=scores))
    choice = thresholds(found)
    assert choice is not None
    assert choice.best is choice.points[-1]
    assert json.loads(choice.data())["shown"][-1] == ["never", "always"]
    assert "if “class 1” is never answered: " in text_of(found)


def test_the_refusals_of_a_head_are_shown_with_the_accuracy_of_the_rest() -> None:
    found = results(test=400)
    text = text_of(replace(found, abstention=Abstention(0.9, 0.25)))
    refused = found.confidence < 0.9
    right = (found.predicted == found.labels)[~refused]
    expected = f"confidence below 0.900, as this head does 25% {refused.mean():.1%} {right.mean():.1%}"
    assert expected in text
    assert "as this head does" not in text_of(found)


def test_costs_of_more_than_two_classes_are_an_error() -> None:
    with pytest.raises(ParamsError, match=r"evaluate\.costs"):
        section(results(classes=3, costs={"class 0": 2.0}))


def test_images_that_are_their_own_features_have_no_distances() -> None:
    text = text_of(results(cut=INPUT))
    assert "distance above" not in text
    assert "the cut is the input" in text


def test_the_same_results_give_the_same_bytes() -> None:
    assert section(results()).html == section(results()).html


def test_distances_are_those_of_the_nearest_training_image() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (700, 5)).astype(np.float32)
    values[690] = values[10]
    train, other = range(600), range(600, 700)
    [found] = nearest_training(values, train, [other])
    direct = np.sqrt(((values[600:, None] - values[None, :600]) ** 2).sum(2)).min(1)
    assert found == pytest.approx(direct, abs=2e-3)
    assert found[90] == pytest.approx(0, abs=2e-3)


def test_plots_are_pictures_and_the_same_ones_again() -> None:
    right = np.array([True, False, True, True])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    first = coverage_png(right, scores, -scores, {0.05: (0.95, 0.8)})
    assert Image.open(io.BytesIO(first)).width > 300
    assert first == coverage_png(right, scores, -scores, {0.05: (0.95, 0.8)})
    assert first != coverage_png(right, scores, None, {0.05: (0.95, 0.8)})
    curves = {"a": pr_curve(scores, right)}
    assert Image.open(io.BytesIO(pr_png(curves))).width > 300
    assert pr_png(curves) == pr_png(curves)


def test_many_images_of_many_classes_take_seconds() -> None:
    found = results(classes=1000, test=4000)
    started = time.process_time()
    section(found)
    assert time.process_time() - started < 30
