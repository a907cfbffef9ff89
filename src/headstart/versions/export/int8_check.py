"""The answers of an int8 file against the recorded ones, by the gate's paired statistics."""

import tempfile
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.errors import ModelError
from headstart.ground.reading import load_table
from headstart.ground.wording import percent, points
from headstart.pipeline.data.manifest import read_manifest
from headstart.versions.export.images import Run, answers, find
from headstart.versions.registry.record import AGAIN, MANIFEST, Record
from headstart.versions.registry.recorded_images import earlier_heads
from headstart.versions.release.paired import compare
from headstart.versions.release.settings import Gate
from headstart.versions.serving.predictor import Predictor


@dataclass(frozen=True)
class Change:
    """The test images of a version as an int8 file and as evaluate answered.

    Attributes:
        images: that count: a head that the version was trained from saw none of them.
        recorded_accuracy: of the version, on these images.
        accuracy: of the file.
        change: the second less the first.
        low, high: ends of its paired interval.
        confidence: level of the interval.
        same_labels: share of images with the recorded label.
        probability_gap: the largest difference of a probability.
        note: names the classes that have too few images to be judged on their own; may be empty.
    """

    images: int
    recorded_accuracy: float
    accuracy: float
    change: float
    low: float
    high: float
    confidence: float
    same_labels: float
    probability_gap: float
    note: str

    def sentence(self) -> str:
        """One line for a person."""
        return (
            f"accuracy on {self.images} test images: {self.accuracy:.3f}, recorded "
            f"{self.recorded_accuracy:.3f}; "
            f"{points(self.change)} ({100 * self.confidence:g} % interval: {points(self.low)} to "
            f"{points(self.high)}); the same label for {percent(self.same_labels, '.4g')} %"
            f"{'; ' if self.note else ''}{self.note}"
        )


@dataclass(frozen=True)
class Expected:
    """The test images that count, with the answers that evaluate wrote.

    Attributes:
        table: the recorded predictions, one row per image.
        groups: of each image; None if none has one.
    """

    table: pd.DataFrame
    groups: list[str] | None


def expected_answers(record: Record, gate: Gate) -> Expected:
    """The recorded predictions for the test images which no earlier head of the version saw.

    Raises:
        ModelError: there are fewer than the gate needs, so that nothing could be shown.
    """
    record.check()
    with tempfile.TemporaryDirectory(prefix="headstart-record-") as folder:
        seen = earlier_heads(record, Path(folder)).pixels
    found = _without(load_table(record.predictions, advice=AGAIN), read_manifest(record.file(MANIFEST)), seen)
    if len(found.table) < gate.min_images:
        raise ModelError(
            f"int8 cannot be judged: {record.name} has {len(found.table)} test images that count, "
            f"{gate.min_images} are needed (gate.min_images). Train with a larger share in split.test, or "
            "export --precision fp32"
        )
    return found


def _without(table: pd.DataFrame, manifest: pd.DataFrame, seen: Set[str]) -> Expected:
    table = table[~table["pixels"].isin(list(seen))].reset_index(drop=True)
    if "group" not in manifest:  # manifests of early versions have none
        return Expected(table, None)
    groups = manifest.set_index("path")["group"].loc[table["path"]].to_numpy(dtype=object)
    named = np.where(groups == "", table["pixels"].to_numpy(dtype=object), groups)
    return Expected(table, named.tolist() if (groups != "").any() else None)


def check(
    run: Run, predictor: Predictor, record: Record, expected: Expected, gate: Gate, images: Path | None
) -> Change:
    """Run an int8 file on the test images and compare its answers with the recorded ones; see `judge`.

    Args:
        run: maps pixels uint8 [N, H, W, 3] to probabilities [N, C].
        images: folder of the images, laid out as `data/` was; None for that of the project and for DVC.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-images-") as folder:
        files = find(record, list(expected.table["path"]), images, Path(folder), "test")
        found = answers(run, predictor, files)
    return judge(found, expected, predictor.classes, gate, record.name)


def judge(found: np.ndarray, expected: Expected, classes: tuple[str, ...], gate: Gate, name: str) -> Change:
    """Compare probabilities [N, C] with the recorded ones, as the gate compares a version with the champion.

    Raises:
        ModelError: the accuracy, or the lower end of its interval, is below the recorded one by more than
            `gate.margin`; or the recall of a class is by more than `gate.class_margin`; or no class has
            the images that this needs.
    """
    table = expected.table
    labels = np.asarray(classes, dtype=object)[found.argmax(axis=1)]
    truth, recorded = table["label"].to_numpy(dtype=object), table["predicted"].to_numpy(dtype=object)
    right, was = labels == truth, recorded == truth
    overall, worst = compare(truth.tolist(), right, was, gate, expected.groups)
    if short := [check for check in (overall, worst) if check.verdict != "passed"]:
        lost = [check for check in short if check.verdict == "failed"]
        said = "; ".join(
            f"{check.title}: {check.note if check.figure is None else check.measured()}, "
            f"required: {check.wanted}"
            for check in lost or short
        )
        raise ModelError(
            f"int8 is not as good as {name}, or may not be, on {len(table)} test images: {said}. "
            "Nothing was written. Calibrate on more images (--calibration-images), compare on more (a larger "
            "split.test), allow more (--margin), or export --precision fp32"
        )
    assert overall.figure is not None
    assert overall.low is not None
    assert overall.high is not None
    gaps = np.abs(found - table[[f"probability:{name}" for name in classes]].to_numpy())
    return Change(
        images=len(table),
        recorded_accuracy=float(was.mean()),
        accuracy=float(right.mean()),
        change=overall.figure,
        low=overall.low,
        high=overall.high,
        confidence=gate.confidence,
        same_labels=float((labels == recorded).mean()),
        probability_gap=float(gaps.max()),
        note=worst.note,
    )
