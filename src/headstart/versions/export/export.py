"""`headstart export`: a registered version as a folder, or as one file for another runtime."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.export import ExportedProgram

from headstart.ground.files import replacing
from headstart.versions.export import (
    calibration,
    images,
    int8,
    int8_check,
    logged,
    onnx_file,
    speed,
    torch_file,
)
from headstart.versions.export.check import check
from headstart.versions.export.description import describe
from headstart.versions.export.folder import check_absent, write_folder
from headstart.versions.export.images import Run
from headstart.versions.export.program import program_of
from headstart.versions.export.report import Exported, Int8
from headstart.versions.registry import exported, stored_model, versions
from headstart.versions.registry.record import Record, open_record
from headstart.versions.registry.uri import ModelUri
from headstart.versions.release.settings import Gate
from headstart.versions.serving.predictor import Predictor


class _Format(NamedTuple):
    """How a file is written and asked, and its name among the artifacts of the run."""

    write: Callable[[ExportedProgram, dict[str, str], Path], None]
    open: Callable[[Path], Run]
    name: str


FILES = {
    "onnx": _Format(onnx_file.write, onnx_file.open_session, "model.onnx"),
    "torch": _Format(torch_file.write, torch_file.open_program, "model.pt2"),
}
INT8, INT8_NAME = "onnx-int8", "model.int8.onnx"


@dataclass(frozen=True)
class Options:
    """Choices for an exported file.

    Attributes:
        images: folder of the version's images, laid out as `data/` was; None for those of the project.
        log: whether the file is stored with the version's run, and its digest as a tag of the version.
        replace: whether that tag may name this file if it names another one.
    """

    images: Path | None = None
    log: bool = True
    replace: bool = False


@dataclass(frozen=True)
class Version:
    """A version to be exported: its network on the CPU, and its record."""

    predictor: Predictor
    record: Record

    @property
    def description(self) -> dict[str, str]:
        return describe(self.predictor, self.record.name, self.record.run_id)


def export_folder(model: str, out: Path) -> Exported:
    """Write a version as a folder that answers without a tracking server.

    Args:
        model: `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/model`.
        out: must not exist.

    Raises:
        HeadstartError: `out` exists.
        TrackingError: MLflow is unreachable, has no such model, or it was not registered by Headstart.
        ModelError: the version was changed after it was registered.
    """
    check_absent(out)
    stored = stored_model.fetch(str(ModelUri.parse(model)))
    is_version = ModelUri.parse(stored.name).name is not None
    write_folder(stored, versions.description(stored.name) if is_version else "", out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    digest = stored_model.file_digest(out / exported.NAME)
    return Exported(stored.name, "folder", None, str(out), digest, size)


def export_file(model: str, out: Path, kind: str, options: Options) -> Exported:
    """Write a version as one file, after comparing its answers with those that were recorded.

    Args:
        model, out: as in `export_folder`.
        kind: a key of `FILES`; the tag is `export.KIND`.

    Raises:
        HeadstartError: `out` exists, a library is missing, or another file was exported before.
        TrackingError: see `export_folder`; or the version has no record.
        ModelError: the version was changed after it was registered, or the file does not answer as it did.
        LineageError: the test images cannot be found.
    """
    check_absent(out)
    if kind == "onnx":
        onnx_file.check_installed()
    form = FILES[kind]
    with opened(model) as version, replacing(out) as new:
        form.write(program_of(version.predictor), version.description, new)
        checked = check(form.open(new), version.predictor, version.record, options.images)
        digest, artifact = _stored(version.record, kind, new, form.name, out, options)
        name, size = version.record.name, new.stat().st_size
    return Exported(name, kind, "fp32", str(out), digest, size, checked.images, checked.gap, artifact)


def export_int8(
    model: str, out: Path, gate: Gate, options: Options, count: int = calibration.IMAGES
) -> Exported:
    """Write a version as an ONNX file in int8, if the gate would not find it worse than the version.

    Args:
        model, out: as in `export_folder`.
        gate: the margins, the level of the interval and the images that it needs.
        count: training images to calibrate on.

    Raises:
        HeadstartError: as in `export_file`.
        TrackingError: as in `export_file`.
        ModelError: the version was changed after it was registered; the file is worse by more than the
            margin, or may be; or there are too few test images to say.
        LineageError: the test or training images cannot be found.
    """
    check_absent(out)
    onnx_file.check_installed()
    with opened(model) as version, replacing(out) as new, tempfile.TemporaryDirectory() as temporary:
        expected = int8_check.expected_answers(version.record, gate)
        whole = Path(temporary) / "fp32.onnx"
        onnx_file.write(program_of(version.predictor), version.description, whole)
        drawn, pixels = _quantize(version, whole, new, options.images, count)
        run = onnx_file.open_session(new)
        change = int8_check.check(run, version.predictor, version.record, expected, gate, options.images)
        fp32, own = speed.side_by_side(onnx_file.open_session(whole), run, pixels)
        digest, artifact = _stored(version.record, INT8, new, INT8_NAME, out, options)
        report = Int8(drawn, change, whole.stat().st_size, fp32, own)
        name, size = version.record.name, new.stat().st_size
    gap = change.probability_gap
    return Exported(name, "onnx", "int8", str(out), digest, size, change.images, gap, artifact, report)


def _quantize(
    version: Version, whole: Path, path: Path, folder: Path | None, count: int
) -> tuple[calibration.Calibration, np.ndarray]:
    """Write the int8 file of one in float32; return its calibration, and pixels of some images to time it."""
    names, drawn = calibration.draw(version.record, count, int8.METHOD)
    description = version.description | {"precision": '"int8"', "calibration": drawn.as_json()}
    with tempfile.TemporaryDirectory(prefix="headstart-images-") as fetched:
        files = images.find(version.record, names, folder, Path(fetched), "training")
        batches = images.batches(version.predictor, files, int8.BATCH, "calibrate")
        first = next(batches)
        int8.quantize(whole, chain([first], batches), description, path)
    return drawn, first


@contextmanager
def opened(model: str) -> Iterator[Version]:
    """A version on this machine, for as long as the block runs; see `export_file` for errors."""
    stored = stored_model.fetch(str(ModelUri.parse(model)))
    predictor = Predictor.load(stored.head, stored.backbone())
    with tempfile.TemporaryDirectory(prefix="headstart-record-") as folder:
        yield Version(predictor, open_record(stored.name, Path(folder)))


def _stored(
    record: Record, kind: str, new: Path, name: str, out: Path, options: Options
) -> tuple[str, str | None]:
    """The digest of a finished file, and its artifact if it is logged; the file becomes `out` afterwards."""
    check_absent(out)  # another export may have made it meanwhile
    digest = stored_model.file_digest(new)
    if not options.log:
        return digest, None
    return digest, logged.store(record, kind, new, name, digest, options.replace)
