"""The recorded test of a version: the figures that production is compared with."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground.reading import load_table
from headstart.pipeline.data.manifest import read_manifest
from headstart.pipeline.evaluation.intervals import of_share
from headstart.versions.monitoring.feedback.estimate import Calibration, calibrate
from headstart.versions.monitoring.feedback.figures import Figure, Flags, Floats, of_interval
from headstart.versions.registry.record import MANIFEST, Record, open_record


@dataclass(frozen=True)
class OwnTest:
    """A version's answers for its test images.

    Attributes:
        version: `models:/NAME/VERSION`.
        registered: when MLflow recorded it.
        level: confidence level of its intervals, `evaluate.confidence`.
        labels, predicted: true and most probable class of each test image: texts [N].
        confidence: probability of the most probable class: float64 [N].
        groups: the group of each image; None if none has one.
        known: SHA-256 of the files that it was trained or selected on.
    """

    version: str
    registered: datetime
    level: float
    labels: NDArray[np.object_]
    predicted: NDArray[np.object_]
    confidence: Floats
    groups: tuple[str, ...] | None
    known: frozenset[str]

    @cached_property
    def right(self) -> Flags:
        return np.asarray(self.labels == self.predicted)

    @cached_property
    def calibration(self) -> Calibration:
        """Of the confidences, by these answers."""
        return calibrate(self.confidence, self.right, self.groups)

    def accuracy(self, level: float | None = None) -> Figure:
        """Accuracy over all test images, at the version's own level or another one."""
        return self._figure(self.right, np.ones(len(self.right), bool), level)

    def recall(self, name: str) -> Figure | None:
        """Share of a class's images that are found; None if the test has none."""
        return self._of(self.labels == name)

    def precision(self, name: str) -> Figure | None:
        """Share of right answers among those of a class; None if it was never answered."""
        return self._of(self.predicted == name)

    def _of(self, chosen: Flags) -> Figure | None:
        return self._figure(self.right, chosen, None) if chosen.any() else None

    def _figure(self, right: Flags, chosen: Flags, level: float | None) -> Figure:
        own = right[chosen]
        groups = self.groups and [group for group, used in zip(self.groups, chosen, strict=True) if used]
        return of_interval(float(own.mean()), of_share(own, groups or None, level or self.level), len(own))


def tested(version: str) -> OwnTest:
    """Fetch the record of a version.

    Args:
        version: `models:/NAME/VERSION`.

    Raises:
        TrackingError: MLflow is out of reach, or has no such version or record.
    """
    with TemporaryDirectory() as folder:
        return of_record(open_record(version, Path(folder)))


def of_record(record: Record) -> OwnTest:
    """The test of a record that was fetched."""
    found = load_table(record.predictions)
    manifest = read_manifest(record.file(MANIFEST))
    return OwnTest(
        version=record.name,
        registered=_registered(record),
        level=float(record.params["evaluate"]["confidence"]),
        labels=found["label"].to_numpy(object),
        predicted=found["predicted"].to_numpy(object),
        confidence=found["confidence"].to_numpy(np.float64),
        groups=_groups(found, manifest),
        known=frozenset(manifest.loc[manifest["split"] != "test", "sha256"]),
    )


def _registered(record: Record) -> datetime:
    stamp = record.run.info.start_time if record.version is None else record.version.creation_timestamp
    return datetime.fromtimestamp(int(stamp) / 1000, UTC)


def _groups(found: pd.DataFrame, manifest: pd.DataFrame) -> tuple[str, ...] | None:
    """The group of each test image, its own picture if it has none; manifests of early versions have none."""
    if "group" not in manifest or not manifest["group"].ne("").any():
        return None
    groups = found["path"].map(manifest.set_index("path")["group"]).fillna("")
    return tuple(groups.mask(groups == "", found["pixels"]).tolist())
