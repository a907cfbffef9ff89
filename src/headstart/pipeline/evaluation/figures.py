"""The files with the figures of a head: the headline, its intervals, and a table of the classes.

Each has its own reader, which also reads the one document that earlier versions of Headstart wrote.
"""

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from headstart.ground import paths
from headstart.ground.files import replacing, write_json
from headstart.ground.reading import MAKE_AGAIN, load_json, reading
from headstart.pipeline.evaluation.metrics import ClassMetrics, Metrics

CLASS = "class"


def write_figures(metrics: Metrics, folder: Path = paths.METRICS.parent) -> None:
    """Write `metrics.json`, which `dvc metrics show` prints in a line, `intervals.json` and `classes.csv`."""
    write_json(folder / paths.METRICS.name, metrics.headline())
    intervals = {name: asdict(bounds) for name, bounds in metrics.intervals.items()}
    write_json(folder / paths.INTERVALS.name, {"confidence": metrics.confidence, "intervals": intervals})
    names = [field.name for field in fields(ClassMetrics)]
    with (
        replacing(folder / paths.CLASSES.name) as new,
        new.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        table.writerow([CLASS, *names])
        for name, own in metrics.per_class.items():
            table.writerow([name, *asdict(own).values()])  # None is an empty cell


def read_headline(folder: Path = paths.METRICS.parent, advice: str = MAKE_AGAIN) -> dict[str, Any]:
    """The figures of `metrics.json`, with the interval of each as `intervals`: {name: {low, high}}.

    Raises:
        DamagedFile: a file is missing or damaged.
    """
    found: dict[str, Any] = dict(load_json(folder / paths.METRICS.name, advice))
    found.pop("classes", None)
    if "intervals" not in found:
        found["intervals"] = load_json(folder / paths.INTERVALS.name, advice)["intervals"]
    return found


def read_classes(folder: Path = paths.METRICS.parent, advice: str = MAKE_AGAIN) -> dict[str, ClassMetrics]:
    """The figures of each class, in the order of the classes.

    Raises:
        DamagedFile: the file is missing or damaged.
    """
    earlier = load_json(folder / paths.METRICS.name, advice).get("classes")
    if earlier is not None:
        return {name: ClassMetrics(**values) for name, values in earlier.items()}
    path = folder / paths.CLASSES.name
    with reading(path, advice), path.open(newline="", encoding="utf-8") as file:
        return {row.pop(CLASS): _class_of(row) for row in csv.DictReader(file, strict=True)}


def _class_of(row: dict[str, str]) -> ClassMetrics:
    support = int(row.pop("support"))
    return ClassMetrics(
        **{name: float(cell) if cell else None for name, cell in row.items()}, support=support
    )
