"""The report of an export, for people and programs."""

from dataclasses import asdict, dataclass
from typing import Any

from headstart.versions.export.calibration import Calibration
from headstart.versions.export.int8_check import Change
from headstart.versions.export.speed import Speed


@dataclass(frozen=True)
class Int8:
    """An int8 file against the same version in float32.

    Attributes:
        fp32_bytes: size of the file in float32.
        fp32_speed, speed: of both files on this machine, in turns; a report, not a condition.
    """

    calibration: Calibration
    change: Change
    fp32_bytes: int
    fp32_speed: Speed
    speed: Speed

    def lines(self) -> list[str]:
        """For a person."""
        faster = self.speed.images_per_cpu_s / self.fp32_speed.images_per_cpu_s
        drawn = self.calibration
        return [
            f"calibrated: on {drawn.images} training images (seed {drawn.seed}, {drawn.method})",
            f"checked: {self.change.sentence()}",
            f"size: {self.fp32_bytes / 1e6:.1f} MB in float32",
            f"speed on this machine: {self.speed.images_per_cpu_s:.2f} images per second of processor time, "
            f"{self.fp32_speed.images_per_cpu_s:.2f} in float32 ({faster:.2f} times)",
        ]


@dataclass(frozen=True)
class Exported:
    """A version that was exported.

    Attributes:
        model: the version, with an alias resolved.
        precision: fp32 or int8; None for a folder, which has that of the version.
        out: the folder or file.
        digest: SHA-256 of the file; of a folder that of its `export.json`, which has those of all files.
        bytes: size of the file, or of all files in the folder.
        images: test images whose answers were compared; None for a folder, which holds the same tensors.
        probability_gap: the largest difference of a probability from the recorded ones.
        artifact: where the file is among the artifacts of the version's run; None if it was not logged.
        int8: of an int8 file.
    """

    model: str
    format: str
    precision: str | None
    out: str
    digest: str
    bytes: int
    images: int | None = None
    probability_gap: float | None = None
    artifact: str | None = None
    int8: Int8 | None = None

    def sentence(self) -> str:
        """Lines for a person."""
        kind = f"{self.format} in int8" if self.int8 is not None else self.format
        lines = [f"{self.out}: {self.model} as {kind}, {self.bytes / 1e6:.1f} MB"]
        if self.int8 is not None:
            lines += self.int8.lines()
        elif self.images is not None:
            lines.append(
                f"checked: {self.images} test images have the labels that evaluate wrote, and probabilities "
                f"within {self.probability_gap:.1g}"
            )
        if self.artifact is not None:
            lines.append(f"logged: {self.artifact} in the version's run")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)
