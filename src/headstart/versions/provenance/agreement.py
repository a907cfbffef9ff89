"""Compare reproduced results with the recorded ones and find where they first differ."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation.figures import read_classes, read_headline

Verdict = Literal["identical", "within tolerance", "different"]
PROBABILITY = "probability:"
MACHINE = ("device", "cpu_capability", "python", "versions")


@dataclass(frozen=True)
class Out:
    """A file that a stage wrote: its MD5 as in dvc.lock, recorded and reproduced ("" if it is missing)."""

    stage: str
    path: str
    recorded: str
    again: str

    @property
    def same(self) -> bool:
        return self.recorded == self.again


@dataclass(frozen=True)
class Figure:
    """A metric, recorded and reproduced; None on a side that lacks it."""

    name: str
    recorded: float | None
    again: float | None

    @property
    def gap(self) -> float:
        """Absolute difference; infinite if one side lacks the metric."""
        if self.recorded is None or self.again is None:
            return 0.0 if self.recorded is self.again else float("inf")
        return abs(self.recorded - self.again)


@dataclass(frozen=True)
class Predictions:
    """Test predictions, compared image by image.

    Attributes:
        images: number of images in the record.
        identical: how many of them have the same label and bit-equal probabilities.
        relabelled: paths of those with another predicted class.
        missing: number of images that only one side has.
        probability_gap: the largest difference between two probabilities of an image and class.
        first: path of the first image that differs, "" if none does.
    """

    images: int
    identical: int
    relabelled: tuple[str, ...]
    missing: int
    probability_gap: float
    first: str

    @property
    def same(self) -> bool:
        return self.identical == self.images and not self.missing


@dataclass(frozen=True)
class Agreement:
    """The whole comparison, as a report shows it."""

    outs: tuple[Out, ...]
    head_recorded: str
    head_again: str
    metrics: tuple[Figure, ...]
    predictions: Predictions
    machine: tuple[str, ...]
    tolerance: float

    @property
    def verdict(self) -> Verdict:
        """Identical if head, metrics and predictions are; the tolerance applies only on another machine."""
        if self.head_recorded == self.head_again and self.predictions.same and not self.changed_metrics:
            return "identical"
        is_near = (
            all(figure.gap <= self.tolerance for figure in self.metrics)
            and self.predictions.probability_gap <= self.tolerance
            and not self.predictions.missing
        )
        return "within tolerance" if self.machine and is_near else "different"

    @property
    def changed_metrics(self) -> tuple[Figure, ...]:
        return tuple(figure for figure in self.metrics if figure.gap > 0)

    @property
    def first_difference(self) -> str:
        """The first file that differs, in stage order and ignoring environments; "" if none does."""
        for out in self.outs:
            if not out.same and not out.path.startswith(f"{paths.ENVIRONMENTS}/"):
                return f"stage {out.stage}: {out.path}"
        return ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "first_difference": self.first_difference,
            "tolerance": self.tolerance,
            "machine_differs_in": list(self.machine),
            "head": {"recorded": self.head_recorded, "again": self.head_again},
            "metrics": [asdict(figure) for figure in self.metrics],
            "predictions": asdict(self.predictions),
            "outs": [asdict(out) for out in self.outs],
        }


def compare_outs(recorded: Mapping[str, Any], root: Path, stages: list[str]) -> tuple[Out, ...]:
    """The outs that a recorded dvc.lock names for these stages, next to those in the tree.

    The files themselves are hashed; the new dvc.lock is not trusted.
    """
    return tuple(
        Out(stage, out["path"], out["md5"], _md5(root / out["path"]))
        for stage in stages
        for out in recorded["stages"][stage].get("outs", [])
    )


def compare_metrics(logged: Mapping[str, float], recorded: Path, again: Path) -> tuple[Figure, ...]:
    """Compare every number that evaluate wrote, and the metrics in MLflow, with the reproduced ones.

    Args:
        logged: the run's metrics in MLflow; those named `test/...` come from the evaluate stage.
        recorded, again: the two folders with `metrics.json` and the files that belong to it.
    """
    before, after = _numbers(_read(recorded)), _numbers(_read(again))
    figures = [Figure(name, before.get(name), after.get(name)) for name in {**before, **after}]
    shown = {name: value for name, value in logged.items() if name.startswith("test/")}
    made = _as_logged(_read(again))
    figures += [Figure(f"MLflow {name}", value, made.get(name)) for name, value in shown.items()]
    return tuple(figures)


def compare_predictions(recorded: Path, again: Path) -> Predictions:
    """Compare the two predictions.parquet, image by image."""
    before = load_table(recorded).set_index("path")
    after = load_table(again).set_index("path")
    common = before.index.intersection(after.index)
    left, right = before.loc[common], after.loc[common]
    columns = [name for name in before if name.startswith(PROBABILITY)]
    if columns != [name for name in after if name.startswith(PROBABILITY)]:
        return Predictions(len(before), 0, tuple(common), len(after), float("inf"), str(before.index[0]))
    gaps = np.abs(left[columns].to_numpy() - right[columns].to_numpy())
    labels_differ = (left["predicted"] != right["predicted"]).to_numpy()
    differs = (gaps.max(axis=1) > 0 if len(common) else np.zeros(0, bool)) | labels_differ
    alone = before.index.symmetric_difference(after.index)
    names = [*common[differs], *alone]
    return Predictions(
        images=len(before),
        identical=int((~differs).sum()),
        relabelled=tuple(common[labels_differ]),
        missing=len(alone),
        probability_gap=float(gaps.max()) if gaps.size else 0.0,
        first=str(names[0]) if names else "",
    )


def compare_machines(
    recorded: Mapping[str, Mapping[str, Any]], again: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """Names of the differences between the recorded machine and this one, such as `train.device`."""
    found = []
    for stage, before in recorded.items():
        after = again.get(stage)
        if after is None:
            continue
        for name in MACHINE:
            left, right = before.get(name), after.get(name)
            if isinstance(left, Mapping) and isinstance(right, Mapping):
                found += [
                    f"{stage}.{name}.{key}" for key in {**left, **right} if left.get(key) != right.get(key)
                ]
            elif left != right:
                found.append(f"{stage}.{name}")
    return tuple(found)


def _md5(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _read(folder: Path) -> dict[str, Any]:
    classes = {name: asdict(own) for name, own in read_classes(folder).items()}
    return {**read_headline(folder), "classes": classes}


def _numbers(value: object, name: str = "") -> dict[str, float | None]:
    """All numbers in a nested document, by dotted name; None stays None."""
    if isinstance(value, Mapping):
        return {
            key: number
            for part, inner in value.items()
            for key, number in _numbers(inner, f"{name}.{part}".lstrip(".")).items()
        }
    return (
        {name: None if value is None else float(value)}
        if value is None or isinstance(value, int | float)
        else {}
    )


def _as_logged(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in metrics.json under the names that registration logs."""
    named = {
        f"test/{name}": float(value) for name, value in metrics.items() if isinstance(value, int | float)
    }
    for name, bounds in metrics["intervals"].items():
        named |= {f"test/{name}_{end}": float(value) for end, value in bounds.items()}
    return named
