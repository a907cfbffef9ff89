"""Simple rules on planted sets: each finds what it can, and one as good as the model is a warning."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from held import Held
from packed import hold
from sections import section

from headstart.ground import paths
from headstart.pipeline.evaluation.metrics import classification_metrics
from headstart.pipeline.evaluation.results import Results, Validation
from headstart.pipeline.evaluation.sections import baselines

SPLIT = {"train": 0.6, "val": 0.2, "test": 0.2}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("artifacts").mkdir()


def results_of(
    labels: np.ndarray,
    classes: tuple[str, ...],
    *,
    larger: float = 0,
    brighter: float = 0,
    apart: float = 0,
    right: float = 0.9,
    groups: int = 0,
    cut: str = "flatten",
) -> Results:
    """Images of random size, brightness and features, of which those of later classes are larger, brighter or
    of other features; a model that is right for a share of the test images."""
    random, count = np.random.default_rng(0), len(labels)
    split = np.repeat(list(SPLIT), [round(share * count) for share in SPLIT.values()])
    names = np.array(classes, dtype=object)
    images = pd.DataFrame(
        {
            "path": [f"{number:05}.jpg" for number in range(count)],
            "pixels": [f"{number:064x}" for number in range(count)],
            "label": names[labels],
            "split": split,
            "group": [f"g{label}-{n % groups}" if groups else "" for n, label in enumerate(labels)],
        }
    )
    sides = random.integers(200, 300, (2, count)) + np.round(larger * labels).astype(int)
    manifest = images[["path"]].assign(width=sides[0], height=sides[1], bytes=sides.prod(0) // 3)
    manifest.sample(frac=1, random_state=0).to_parquet(paths.MANIFEST)
    levels = [random.integers(60, 120) + brighter * label for label in labels]
    pixels = (random.normal(level, 10, (16, 16, 3)).clip(0, 255).astype(np.uint8) for level in levels)
    images = hold(pixels, images, 16)
    table = images[split == "test"].assign(row=np.flatnonzero(split == "test"))
    truth = labels[split == "test"]
    answered = np.where(random.random(len(truth)) < right, truth, (truth + 1) % len(classes))
    probabilities = np.full((len(truth), len(classes)), 0.1 / (len(classes) - 1))
    probabilities[np.arange(len(truth)), answered] = 0.9
    return Results(
        options=section("evaluate", resamples=20),
        head={"cut": cut},
        images=images,
        rows=Held(random.normal(size=(count, 24)) + apart * random.normal(size=(len(classes), 24))[labels]),
        table=table,
        labels=truth,
        probabilities=probabilities,
        classes=classes,
        metrics=classification_metrics(
            truth,
            probabilities,
            classes,
            confidence=0.95,
            resamples=20,
            seed=0,
            groups=table["group"].tolist() if groups else None,
        ),
        validation=Validation(range(0), truth[:0], probabilities[:0]),
    )


def two(count: int = 1000) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, count)


def shares(results: Results) -> tuple[dict[str, float], str]:
    """The rules with the share for which each is right, and the text of the section."""
    made = baselines.section(results)
    rows = re.findall(r'<th scope="row">(.*?)</th><td class="number">([\d.]+)%</td>', made.html)
    plain = html.unescape(re.sub(r"<[^>]+>", "", made.html))
    return {re.sub(r"<[^>]+>", "", name): float(share) for name, share in rows}, plain


def test_nothing_is_found_where_nothing_is() -> None:
    found, text = shares(results_of(two(), ("a", "b")))
    model, commonest, facts = list(found)[:3]
    assert model == "The model"
    assert re.fullmatch("Always “[ab]”, the commonest class in training", commonest)
    assert facts == "Size, file size, brightness and contrast alone"
    assert all(share < 62 for name, share in found.items() if name != "The model")
    assert "how their pictures were made" not in text
    assert "do not show" not in text


@pytest.mark.parametrize("planted", [{"larger": 60.0}, {"brighter": 50.0}])
def test_classes_that_differ_by_how_pictures_were_made_are_a_warning(planted: dict[str, float]) -> None:
    found, text = shares(results_of(two(), ("a", "b"), **planted))
    assert found["Size, file size, brightness and contrast alone"] > 80
    assert "how their pictures were made" in text


def test_neighbours_by_features_that_do_as_well_as_the_model_are_named() -> None:
    found, text = shares(results_of(two(), ("a", "b"), apart=1.5))
    [name] = [name for name in found if name.startswith("The nearest")]
    assert found[name] > 95
    assert f"“{name}” is right for {found[name]}%, more often than the model." in text
    assert "how their pictures were made" not in text


def test_no_feature_is_looked_at_if_none_is_stored() -> None:
    found, text = shares(results_of(two(200), ("a", "b"), cut="input"))
    assert len(found) == 3
    assert "no features are stored" in text


def test_groups_widen_the_intervals() -> None:
    def width(groups: int) -> float:
        text = shares(results_of(two(), ("a", "b"), groups=groups))[1]
        low, high = re.search(r"commonest class in training[\d.]+%([\d.]+)% to ([\d.]+)%", text).groups()
        return float(high) - float(low)

    assert width(4) > width(0)


def test_many_classes_and_a_class_without_test_images() -> None:
    labels = np.concatenate([np.tile(np.arange(30), 10)[:180], np.tile(np.arange(29), 10)[:120]])
    found, _ = shares(results_of(labels, tuple(f"c{n}" for n in range(30)), apart=3.0))
    [name] = [name for name in found if name.startswith("The nearest")]
    assert found[name] > 50
    [commonest] = [share for name, share in found.items() if "commonest" in name]
    assert commonest < 10


def test_a_handful_of_images_is_enough() -> None:
    found, text = shares(results_of(np.array([0, 1] * 5), ("a", "b"), right=1.0))
    assert found["The model"] == 100
    assert "do not show that the model is better" in text


def test_the_same_results_give_the_same_section() -> None:
    results = results_of(two(300), ("a", "b"), apart=0.3, larger=10)
    assert baselines.section(results) == baselines.section(results)
