"""The stage on planted faults: each is found, named and shown; a critical one stops."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from projects import edit_params
from sections import section

from headstart.cli.main import main
from headstart.errors import DataError
from headstart.ground import paths
from headstart.pipeline.inspection import page, stage

PLANTED = {
    "dark": "a/dark.png",
    "light": "a/light.png",
    "plain": "a/plain.png",
    "blurred": "b/blurred.png",
    "size": "b/large.png",
    "shape": "b/wide.png",
    "grey": "b/grey.png",
    "near_duplicate": "a/copy.png",
}


def drawn(random: np.random.Generator, shade: int, size: tuple[int, int] = (80, 80)) -> Image.Image:
    coarse = random.integers(0, 120, (10, 10, 3)) + np.array([shade, 60, 255 - shade - 120])
    image = Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noise = random.normal(0, 8, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def faulty(tree: Path) -> Path:
    """60 pictures, redder in class b, with one fault of each kind; every stage before `inspect` has run."""
    random = np.random.default_rng(0)
    for name, shade in (("a", 10), ("b", 120)):
        (tree / "data" / name).mkdir(parents=True)
        for number in range(30):
            drawn(random, shade).save(tree / "data" / name / f"{number:02}.png")
    plant(tree / "data", random)
    edit_params(tree, **{"validate.near_duplicates": "report"})
    for command in ("backbone", "validate", "preprocess", "features"):
        main([command])
    return tree


def plant(data: Path, random: np.random.Generator) -> None:
    one = np.asarray(drawn(random, 10)).astype(float)
    faults = {
        "dark": Image.fromarray((one * 0.05).astype(np.uint8)),
        "light": Image.fromarray((235 + one * 0.08).astype(np.uint8)),
        "plain": Image.new("RGB", (80, 80), (90, 60, 130)),
        "blurred": drawn(random, 120, (400, 400)).filter(ImageFilter.GaussianBlur(8)),
        "size": drawn(random, 120, (900, 900)),
        "shape": drawn(random, 120, (400, 60)),
        "grey": drawn(random, 120).convert("L"),
        "near_duplicate": Image.open(data / "a/00.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }
    for name, image in faults.items():
        image.save(data / PLANTED[name])


def found() -> pd.DataFrame:
    return pd.read_parquet(paths.FINDINGS)


def test_each_fault_is_found_and_shown(faulty: Path) -> None:
    said = stage.run(section("inspect"))
    findings = found()
    for check, path in PLANTED.items():
        assert path in set(findings[findings["check"] == check]["path"]), check
    assert set(findings[findings["check"] == "near_duplicate"]["path"]) == {"a/copy.png", "a/00.png"}
    assert findings.set_index("path").loc["a/copy.png", "similar"] == "a/00.png"
    assert f"{len(findings)} findings in 68 images" in said
    page = paths.DATA_REPORT.read_text()
    assert all(path in page for path in PLANTED.values())
    figures = json.loads(paths.DATA_FIGURES.read_text())
    assert figures["classes"] == {"a": 34, "b": 34}
    assert figures["findings"]["dark"] == 1
    assert len(figures["results"]) == 11


def test_the_same_data_give_the_same_bytes(faulty: Path) -> None:
    outs = (paths.FINDINGS, paths.DATA_REPORT, paths.DATA_FIGURES)
    stage.run(section("inspect"))
    first = [path.read_bytes() for path in outs]
    stage.run(section("inspect"))
    assert [path.read_bytes() for path in outs] == first


def test_a_critical_finding_stops_and_an_ignored_one_is_not_listed(faulty: Path) -> None:
    checks = {
        "dark": {"severity": "critical", "limit": 0.08},
        "blurred": {"severity": "ignore", "limit": 0.05},
    }
    with pytest.raises(DataError, match="critical findings: a/dark.png: brightness 0.0"):
        stage.run(section("inspect", **checks))
    findings = found()
    assert findings["path"].iloc[0] == "a/dark.png"
    assert "blurred" not in set(findings["check"])


def test_a_class_that_is_much_smaller_is_named(faulty: Path) -> None:
    for path in sorted((faulty / "data/b").iterdir())[:28]:
        path.unlink()
    edit_params(faulty, **{"validate.min_images_per_class": 2})
    for command in ("validate", "preprocess", "features"):
        main([command])
    stage.run(section("inspect", imbalance={"severity": "warning", "limit": 5}))
    assert "b has 6 images, the largest class 34, 6 times as many" in paths.DATA_REPORT.read_text()


def test_without_features_the_rest_is_checked(faulty: Path) -> None:
    edit_params(faulty, **{"model.train": ["features", "classifier"], "model.head": "linear"})
    main(["features"])
    assert "nothing is frozen, so labels and outliers were not looked for" in stage.run(section("inspect"))
    assert PLANTED["dark"] in set(found()["path"])


def test_a_page_shows_a_bounded_number_of_pictures(faulty: Path) -> None:
    stage.run(section("inspect", dark={"severity": "warning", "limit": 1.0}))
    page = paths.DATA_REPORT.read_text()
    assert "68 images, the worst 40 are shown" in page


def test_many_doubts_have_two_possible_causes() -> None:
    assert page._labels_note(0.19) == ""
    said = page._labels_note(0.61)
    assert "another class for 61% of all images" in said
    assert "Either they hardly separate these classes, or many labels are wrong" in said
