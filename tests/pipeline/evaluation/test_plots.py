import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from headstart.pipeline.evaluation.canvas import names_shown
from headstart.pipeline.evaluation.metrics import RocCurve, confusion_matrix, roc_curve
from headstart.pipeline.evaluation.plots import (
    calibration_png,
    class_counts_png,
    confusion_png,
    history_png,
    roc_png,
)

AWKWARD = ["_hidden", r"$\frac$", "日本", "a name " * 9, "Größe", "x<y>&\n", "\udcff", ""]

pytestmark = pytest.mark.filterwarnings("error")


def matrix_of(count: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(count)
    return confusion_matrix(rng.integers(0, count, 90), rng.integers(0, count, 90), count)


def curve_of(seed: int) -> RocCurve:
    rng = np.random.default_rng(seed)
    positives = np.arange(40) < 15
    return roc_curve(rng.random(40) + 0.5 * positives, positives)


def history(best: int = 2) -> bytes:
    return history_png(
        epochs=[1, 2, 3],
        train_loss=[0.9, 0.5, 0.2],
        val_loss=[0.9, 0.6, 0.7],
        train_accuracy=[0.5, 0.9, 1.0],
        val_accuracy=[0.5, 0.8, 0.7],
        best=best,
    )


def calibration(shift: float = 0.0) -> bytes:
    top = np.linspace(0.55, 0.95, 30) - shift
    return calibration_png(np.zeros(30, np.int64), np.stack([top, 1 - top], axis=1))


def counts(names: list[str]) -> bytes:
    return class_counts_png({"train": dict.fromkeys(names, 8), "test": {names[0]: 3}})


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


DRAWINGS: list[Callable[[], bytes]] = [
    lambda: confusion_png(matrix_of(8), AWKWARD),
    lambda: confusion_png(matrix_of(2), ["defect", "ok"]),
    lambda: roc_png({"ok": curve_of(0), "_x": curve_of(1)}),
    history,
    calibration,
    lambda: counts(AWKWARD),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_same_bytes_whatever_matplotlibrc_says(draw: Callable[[], bytes]) -> None:
    plain = draw()
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 30, "axes.facecolor": "red"}):
        assert draw() == plain
    assert plain.startswith(b"\x89PNG")
    assert b"Software" not in plain


@pytest.mark.parametrize("draw", DRAWINGS)
def test_white_ground_and_something_on_it(draw: Callable[[], bytes]) -> None:
    image = pixels(draw())
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edge == 255).all()  # nothing is cut off at the edge either
    assert (image != 255).any(axis=2).mean() > 0.01


@pytest.mark.parametrize("count", [2, 15, 16, 100])
def test_confusion_at_any_number_of_classes(count: int) -> None:
    png = confusion_png(matrix_of(count), [f"class {i}" for i in range(count)])
    width, height = struct.unpack(">II", png[16:24])
    assert 300 < width < 1500
    assert 300 < height < 1500


def test_confusion_numbers_its_cells_up_to_fifteen_classes() -> None:
    def doubled_differs(count: int) -> bool:
        names = ["x"] * count
        return confusion_png(matrix_of(count), names) != confusion_png(matrix_of(count) * 2, names)

    assert doubled_differs(15)
    assert not doubled_differs(16)  # colours show shares, and doubling keeps those


def test_confusion_of_a_class_without_images() -> None:
    matrix = np.array([[5, 1], [0, 0]])
    assert pixels(confusion_png(matrix, ["a", "b"])).shape[2] == 3


def test_roc_leaves_out_what_is_undefined() -> None:
    absent = roc_curve(np.arange(4.0), np.zeros(4, np.bool_))
    assert roc_png({"a": curve_of(0), "b": absent}) == roc_png({"a": curve_of(0)})
    assert pixels(roc_png({"b": absent})).any()


def test_roc_draws_names_that_shorten_alike() -> None:
    long = "a" * 20 + "{}" + "b" * 20
    both = roc_png({long.format(1): curve_of(0), long.format(2): curve_of(1)})
    assert both != roc_png({long.format(1): curve_of(0)})


def test_roc_of_many_classes_shows_their_mean() -> None:
    curves = {f"class {i}": curve_of(i) for i in range(40)}
    image = pixels(roc_png(curves)).astype(int)
    assert (image.sum(axis=2) == 0).sum() > 500  # the mean's black line
    assert roc_png(curves) != roc_png({**curves, "class 0": curve_of(99)})


def test_history_marks_the_epoch_that_was_kept() -> None:
    legend = 60  # pixels of the legend, which names the epoch
    assert (pixels(history(best=2))[legend:] != pixels(history(best=3))[legend:]).any()


def test_calibration_depends_on_the_probabilities() -> None:
    assert calibration() != calibration(shift=0.04)
    certain = calibration_png(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert pixels(certain).any()


def test_class_counts_grow_with_the_classes_up_to_a_limit() -> None:
    few, some = (pixels(counts([f"c{i}" for i in range(n)])) for n in (3, 40))
    assert some.shape[0] > 3 * few.shape[0]
    for many in (41, 1000):
        height, width, _ = pixels(counts([f"c{i}" for i in range(many)])).shape
        assert max(height, width) < 1000


def test_names_that_shorten_alike_stay_apart() -> None:
    names = [f"{'a' * 30} {number} {'b' * 30}" for number in range(3)]
    shown = names_shown(names)
    assert len(set(shown)) == 3
    assert shown[1].endswith("… #1")
    assert max(map(len, shown)) <= 22
    assert names_shown(["x" * 30, "x" * 30])[0] == names_shown(["x" * 30])[0]  # one name, given twice


def test_names_the_font_cannot_draw_become_numbers() -> None:
    shown = names_shown(AWKWARD)
    assert shown[:3] == ["_hidden", r"$\frac$", "class 2"]
    assert shown[4:] == ["Größe", "class 5", "class 6", "class 7"]
    assert len(shown[3]) == 22
    assert shown[3].startswith("a name a")
    assert "…" in shown[3]


def test_dvc_draws_a_curve_per_class_and_the_axes_of_the_report() -> None:
    plots = {
        name: plot
        for each in yaml.safe_load(Path("dvc.yaml").read_text())["plots"]
        for name, plot in each.items()
    }
    roc = plots["reports/roc.csv"]
    template = json.loads(Path(f".dvc/plots/{roc['template']}.json").read_text())
    assert template["encoding"]["color"]["field"] == "class"
    assert (plots["reports/confusion.csv"]["x"], plots["reports/confusion.csv"]["y"]) == (
        "predicted",
        "actual",
    )
