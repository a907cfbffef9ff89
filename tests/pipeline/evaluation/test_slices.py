"""Slices with low accuracy are found, and chance alone seldom raises a false alarm."""

import io
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from held import Held
from packed import hold
from PIL import ExifTags, Image
from scipy.stats import fisher_exact
from sections import section as params

from headstart.pipeline.data.manifest import inspect
from headstart.pipeline.evaluation.metrics import classification_metrics
from headstart.pipeline.evaluation.results import Results, Validation
from headstart.pipeline.evaluation.sections import cross_validation, learning_curve
from headstart.pipeline.evaluation.sections.slice_facts import slices_of
from headstart.pipeline.evaluation.sections.slice_tests import holm, p_worse, rest_share, strata_of
from headstart.pipeline.evaluation.sections.slices import find, groups_of, section
from headstart.pipeline.network.network import INPUT

SIDE = 24
DRAWS = 100
CLASSES = ("cat", "dog")


def make(
    folder: Path,
    right: np.ndarray,
    dark: np.ndarray | None = None,
    camera: np.ndarray | None = None,
    groups: list[str] | None = None,
    taken: list[str] | None = None,
) -> Results:
    """Test images of two classes in `folder`, the working folder, of which `right` are labelled right."""
    random = np.random.default_rng(0)
    count = len(right)
    labels = random.integers(0, 2, count)
    names = np.array(CLASSES)[labels]
    paths = [f"{name}/{number:04}.png" for number, name in enumerate(names)]
    own = pd.DataFrame({"path": paths, "label": names, "group": groups or [""] * count})
    own["pixels"] = [f"{number:064x}" for number in range(count)]
    (folder / "artifacts").mkdir()
    light = np.full(count, 160) if dark is None else np.where(dark, 40, 160)
    own = hold((random.integers(low, low + 40, (SIDE, SIDE, 3), dtype=np.uint8) for low in light), own, SIDE)
    facts = own[["path", "label"]].assign(width=100, height=80, format="PNG", mode="RGB", excluded="")
    if camera is not None:
        facts["column:camera"] = camera
    if taken is not None:
        facts["taken"] = taken
    facts.to_parquet(folder / "artifacts/manifest.parquet")
    probabilities = np.full((count, 2), 0.2)
    probabilities[np.arange(count), np.where(right, labels, 1 - labels)] = 0.8
    return Results(
        options=params("evaluate"),
        head={},
        images=own,
        rows=None,  # type: ignore[arg-type]
        table=own.assign(row=range(count)),
        labels=labels,
        probabilities=probabilities,
        classes=CLASSES,
        metrics=classification_metrics(
            labels, probabilities, CLASSES, confidence=0.95, resamples=10, seed=0, groups=groups
        ),
        validation=Validation(range(0), labels[:0], probabilities[:0]),
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_planted_slice_is_the_worst_and_its_mistakes_are_shown(folder: Path) -> None:
    random = np.random.default_rng(1)
    dark = np.arange(300) % 3 == 0
    right = random.random(300) < np.where(dark, 0.6, 0.95)
    results = make(folder, right, dark=dark)
    findings = find(results, slices_of(results.table, results.packed).slices, None)
    assert findings[0].part.fact == "Brightness"
    assert (findings[0].part.member == dark).all()
    assert findings[0].accuracy == right[dark].mean()
    assert findings[0].p < 0.001
    assert findings[0].rest is not None
    assert 0.9 < findings[0].rest < 1
    html = str(section(results).html)
    assert "beyond chance" in html
    assert "No slice differs" not in html
    assert html.count("<img") % 3 == 0
    assert "<img" in html


def test_a_column_of_the_table_of_labels_makes_slices(folder: Path) -> None:
    random = np.random.default_rng(2)
    camera = np.where(np.arange(200) % 4 == 0, "old", "new").astype(object)
    camera[:3] = "lent"
    right = random.random(200) < np.where(camera == "old", 0.5, 0.97)
    results = make(folder, right, camera=camera)
    found = find(results, slices_of(results.table, results.packed).slices, None)[0]
    assert (found.part.fact, found.part.value) == ("Column “camera”", "old")
    assert "Column “camera”: 1 value with too few test images" in str(section(results).html)


def test_numbers_in_a_column_are_cut_at_their_terciles(folder: Path) -> None:
    ages = np.arange(90).astype(str).astype(object)
    ages[:9] = ""
    results = make(folder, np.ones(90, bool), camera=ages)
    values = [each.value for each in slices_of(results.table, results.packed).slices if "camera" in each.fact]
    assert values == ["9 to 35", "36 to 62", "63 to 89", "(empty)"]


def photograph(taken: datetime) -> bytes:
    """A JPEG with the time it was taken."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: f"{taken:%Y:%m:%d %H:%M:%S}"}
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def of_times(results: Results) -> dict[str, list[tuple[str, int]]]:
    """Values of the slices by time and their numbers of images, by property."""
    found: dict[str, list[tuple[str, int]]] = {"Date taken": [], "Time taken": []}
    for each in slices_of(results.table, results.packed).slices:
        if each.fact in found:
            found[each.fact].append((each.value, int(each.member.sum())))
    return found


def test_pictures_of_the_evening_that_are_all_wrong_are_found(folder: Path) -> None:
    times = [datetime(2019, 3, 2, 0, 30) + timedelta(hours=31 * number) for number in range(240)]
    evening = np.array([each.hour >= 18 for each in times])
    results = make(folder, ~evening, taken=[inspect(photograph(each))[0].taken for each in times])
    worst = find(results, slices_of(results.table, results.packed).slices, None)[0]
    assert (worst.part.fact, worst.part.value) == ("Time taken", "evening, 18:00 to 23:59")
    assert (worst.part.member == evening).all()
    assert (worst.accuracy, worst.rest) == (0, 1)
    assert worst.p < 1e-6
    html = str(section(results).html)
    assert "<strong>Time taken evening, 18:00 to 23:59</strong>: 0.0% of 60 images, others 100.0%" in html
    assert "DateTimeOriginal" in html


def test_dates_are_cut_at_their_terciles_but_no_day_is(folder: Path) -> None:
    """The first day has half of the images; the last ones have no time, and some a date alone."""
    days = ["2019-03-02T09:00:00"] * 30 + [f"2020-05-{number:02}T00:00:00" for number in range(1, 31)]
    results = make(folder, np.ones(70, bool), taken=[*days, *[""] * 10])
    assert of_times(results) == {
        "Date taken": [("2019-03-02", 30), ("2020-05-01 to 2020-05-10", 10), ("2020-05-11 to 2020-05-30", 20),
                       ("(no date)", 10)],
        "Time taken": [("(no time)", 40)],
    }  # fmt: skip


@pytest.mark.parametrize(
    "taken", [[""] * 30, ["2019-03-02T09:00:00"] * 4 + [""] * 26, ["2019-03-02T09:00:00"] * 30]
)
def test_few_times_or_one_alone_make_no_slice(folder: Path, taken: list[str]) -> None:
    results = make(folder, np.ones(30, bool), taken=taken)
    assert of_times(results) == {"Date taken": [], "Time taken": []}
    assert "DateTimeOriginal" not in str(section(results).html)


def test_without_a_difference_none_is_reported(folder: Path) -> None:
    right = np.random.default_rng(3).random(200) < 0.9
    assert "No slice differs beyond chance" in str(section(make(folder, right)).html)


@pytest.mark.parametrize(("count", "share"), [(1, 0.0), (4, 1.0), (15, 0.0), (15, 1.0)])
def test_few_images_all_right_or_all_wrong(folder: Path, count: int, share: float) -> None:
    html = str(section(make(folder, np.full(count, share == 1.0))).html)
    assert ("No slice differs" in html) == (count == 15)


def test_a_manifest_of_an_earlier_version_is_enough(folder: Path) -> None:
    results = make(folder, np.ones(30, bool))
    assert {each.fact for each in slices_of(results.table, results.packed).slices} == {
        "Brightness",
        "Contrast",
        "Sharpness",
    }


def test_with_one_stratum_it_is_fishers_test() -> None:
    random = np.random.default_rng(4)
    for _ in range(20):
        right, member = random.random(60) < 0.8, random.random(60) < 0.3
        table = [[(right & member).sum(), (~right & member).sum()]]
        table += [[(right & ~member).sum(), (~right & ~member).sum()]]
        ours = p_worse(right, member, np.zeros(60, int), None)
        assert np.isclose(ours, fisher_exact(table, "less").pvalue)


def test_a_slice_is_not_blamed_for_the_class_that_it_holds() -> None:
    """Half of the slice's images are of a hard class, which is as hard elsewhere."""
    random = np.random.default_rng(5)
    labels = np.repeat([0, 1], 500)
    right = random.random(1000) < np.where(labels == 1, 0.6, 0.99)
    member = random.random(1000) < np.where(labels == 1, 0.6, 0.1)
    assert p_worse(right, member, np.zeros(1000, int), None) < 1e-6
    assert p_worse(right, member, strata_of(labels), None) > 0.05
    share = rest_share(right, member, strata_of(labels))
    assert share is not None
    assert abs(share - right[member].mean()) < 0.1


def test_small_classes_are_one_stratum() -> None:
    assert strata_of(np.array([0, 1, 2, 3, 3, 3, 3, 3])).tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


def test_holm_corrects_as_published() -> None:
    assert np.allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("grouped", [False, True])
def test_false_alarms_are_as_rare_as_stated(grouped: bool) -> None:
    """No slice is worse; with groups, images of one share their fate and most of their properties."""
    random = np.random.default_rng(6)
    alarms = 0
    for _ in range(DRAWS):
        groups = np.repeat(np.arange(30), 8) if grouped else np.arange(240)
        fate = random.random(groups.max() + 1) < 0.85
        right = np.where(random.random(240) < 0.8, fate[groups], random.random(240) < 0.85)
        labels = random.integers(0, 3, groups.max() + 1)[groups]
        facts = random.normal(size=(groups.max() + 1, 8))[groups]
        members = [fact <= np.quantile(fact, 0.33) for fact in facts.T]
        strata = strata_of(labels)
        values = [p_worse(right, member, strata, groups if grouped else None) for member in members]
        alarms += holm(np.array(values)).min() <= 0.05
    assert alarms <= DRAWS * 0.05 + 3 * (DRAWS * 0.05 * 0.95) ** 0.5


def test_images_of_one_group_do_not_count_as_many(folder: Path) -> None:
    """One bad group of 20 images is no evidence on what other groups like it would give."""
    right = np.ones(200, bool)
    right[:20] = False
    camera = np.where(np.arange(200) < 20, "old", "new").astype(object)
    groups = [f"g{number // 20}" for number in range(200)]
    results = make(folder, right, camera=camera, groups=groups)
    found = find(results, slices_of(results.table, results.packed).slices, groups_of(results))
    by_value = {each.part.value: each for each in found}
    assert by_value["old"].p == 1
    assert by_value["old"].groups == 1
    alone = find(results, slices_of(results.table, results.packed).slices, None)
    assert alone[0].part.value == "old"
    assert alone[0].p < 1e-6


def test_if_nothing_is_frozen_the_probe_s_sections_say_so(folder: Path) -> None:
    facts = make(folder, np.ones(30, bool))
    manifest = pd.read_parquet(folder / "artifacts/manifest.parquet").assign(similar="")
    manifest.to_parquet(folder / "artifacts/manifest.parquet")
    results = replace(facts, head={"cut": INPUT}, images=facts.images.assign(split="test"))
    assert "Nothing of this network is frozen" in str(learning_curve.section(results).html)
    folded = cross_validation.section(results)
    assert folded is not None
    assert "nothing of this" in str(folded.html)
    off = replace(results, options=params("evaluate", folds=0))
    assert cross_validation.section(off) is None


@pytest.mark.parametrize("count", [12, 600])
def test_the_probe_s_sections_are_made_of_stored_features(folder: Path, count: int) -> None:
    facts = make(folder, np.random.default_rng(7).random(count) < 0.9)
    manifest = pd.read_parquet(folder / "artifacts/manifest.parquet").assign(similar="")
    manifest.to_parquet(folder / "artifacts/manifest.parquet")
    splits = np.array(["train", "train", "test"])[np.arange(count) % 3]
    test = splits == "test"
    vectors = np.random.default_rng(8).normal(size=(count, 6)) + 1.2 * facts.labels[:, None]
    results = replace(
        facts,
        head={"cut": "features.30"},
        images=facts.images.assign(split=splits),
        rows=Held(vectors),
        table=facts.table[test],
        labels=facts.labels[test],
        probabilities=facts.probabilities[test],
    )
    page = str(learning_curve.section(results).html)
    assert ("Twice the training images" in page) == (count == 600)
    assert page == str(learning_curve.section(replace(results)).html)
    folded = cross_validation.section(results)
    assert folded is not None
    assert "Probe, cross-validated" in str(folded.html)
    assert "In the first of the 40 repeats" in str(folded.html)
    assert str(folded.html) == str(getattr(cross_validation.section(replace(results)), "html", ""))
