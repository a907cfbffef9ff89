"""`headstart monitor` for a registered version: similar images, drifted ones, too few, bad files."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from drifted import DRIFTS
from PIL import Image
from projects import draw_images, edit_params, headstart, make_repository, repro, result_of

from headstart.sources.sample import LABELS, draw_image

pytestmark = pytest.mark.server  # registration takes a while
FIRST = 5000


@pytest.fixture
def project(tree: Path) -> Path:
    """A project with a registered version whose images are small and noisy."""
    draw_images(tree / "data", {"dark": 60, "light": 60})
    edit_params(tree, **{"register.thresholds.accuracy": 0.0, "register.thresholds.balanced_accuracy": 0.0})
    edit_params(tree, **{"monitor.min_images": 15, "monitor.max_rows": 60})
    make_repository(tree)
    repro(tree)
    assert "champion" in headstart(tree, "register")
    return tree


def monitor(root: Path, *arguments: str, status: int) -> dict[str, Any]:
    found: dict[str, Any] = result_of(root, "monitor", *arguments, status=status)
    return found


def drifted(found: dict[str, Any]) -> set[str]:
    return {check["name"] for check in found["checks"] if check["drifted"]}


def test_a_version_is_monitored(project: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    draw_images(new, {"dark": 28, "light": 28}, seed=5)
    same = monitor(project, str(new), status=0)
    assert same["verdict"] == "no drift"
    assert same["model"] == "models:/headstart/1"
    assert [check["skipped"] for check in same["checks"]] == [""] * 8
    assert (same["files"], same["readable"], same["seen"]) == (56, 56, 0)
    assert monitor(project, f"{new}/*/*.png", status=0)["checks"] == same["checks"]

    _check_drift(project, new)
    _check_bad_and_known_files(project, new)
    _check_too_few(project, new)

    # as on another machine: no data, reference or rows; everything comes from DVC
    shutil.rmtree(project / "data")
    shutil.rmtree(tmp_path / "store")
    assert monitor(project, str(new), status=0)["checks"] == same["checks"]
    shutil.rmtree(tmp_path / "store")
    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(project.parent / f"{project.name}-remote")
    said = headstart(project, "monitor", str(new), status=1)
    assert "are neither in data/ nor in DVC's cache or remote" in said


def _check_drift(project: Path, new: Path) -> None:
    bright = new.parent / "bright"
    for path in new.rglob("*.png"):
        place = bright / path.relative_to(new).with_suffix(".jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            picture.point(lambda value: min(255, value + 80)).resize((120, 120)).save(place, quality=70)
    found = monitor(project, str(bright), "--html", "page.html", status=3)
    assert {"features", "brightness", "size", "format"} <= drifted(found)
    assert found["unusual"][0]["further_than"] > 0.9
    page = (project / "page.html").read_text()
    assert "drift in 56 images: " in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png") == 8
    assert page.count("data:image/jpeg") == 24


def _check_bad_and_known_files(project: Path, new: Path) -> None:
    mixed = new.parent / "mixed"
    shutil.copytree(new, mixed)
    shutil.copy(mixed / "dark/000.png", mixed / "dark/again.png")
    (mixed / "dark/text.png").write_text("no picture")
    (mixed / "light/cut.png").write_bytes((mixed / "light/000.png").read_bytes()[:500])
    known = monitor(project, str(mixed), str(project / "data"), status=0)
    assert known["files"] == 120 + 56 + 3
    assert known["looked_at"] == 60  # max_rows
    whole = monitor(project, str(mixed), status=0)
    assert (whole["files"], whole["readable"], whole["distinct"]) == (59, 57, 56)
    assert sorted(Path(path).name for path, _ in whole["failures"]) == ["cut.png", "text.png"]
    own = monitor(project, "data", status=0)
    assert own["seen"] > 30
    skipped = {check["name"] for check in own["checks"] if check["skipped"]}
    assert skipped == {"classes", "confidence"}


def _check_too_few(project: Path, new: Path) -> None:
    few = monitor(project, f"{new}/dark/00*.png", status=4)
    assert few["verdict"] == "inconclusive"
    (new.parent / "bad").mkdir()
    (new.parent / "bad/a.png").write_text("no picture")
    assert monitor(project, str(new.parent / "bad"), status=4)["readable"] == 0
    assert "monitor.source" in headstart(project, "monitor", status=1)


@pytest.mark.parametrize("name", DRIFTS)
def test_the_known_drifts_change_the_picture(name: str) -> None:
    picture = draw_image(LABELS[0], FIRST)
    changed = DRIFTS[name](picture, FIRST)
    assert changed.mode == "RGB"
    assert changed.resize((64, 64)).tobytes() != picture.resize((64, 64)).tobytes()
