"""`headstart export`: a registered version as a folder, or as one file for another runtime."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch.export import ExportedProgram

from headstart.errors import HeadstartError
from headstart.ground.files import replacing
from headstart.versions.export import onnx_file, torch_file
from headstart.versions.export.check import Run, check
from headstart.versions.export.description import describe
from headstart.versions.export.folder import write_folder
from headstart.versions.export.program import program_of
from headstart.versions.registry import exported, stored_model, tracking, versions
from headstart.versions.registry.record import open_record
from headstart.versions.registry.uri import ModelUri
from headstart.versions.serving.predictor import Predictor

ARTIFACTS = "export"  # folder of a run's artifacts


class _Format(NamedTuple):
    """How a file is written and asked, and its name among the artifacts of the run."""

    write: Callable[[ExportedProgram, dict[str, str], Path], None]
    open: Callable[[Path], Run]
    name: str


FILES = {
    "onnx": _Format(onnx_file.write, onnx_file.open_session, "model.onnx"),
    "torch": _Format(torch_file.write, torch_file.open_program, "model.pt2"),
}


@dataclass(frozen=True)
class Exported:
    """A version that was exported.

    Attributes:
        model: the version, with an alias resolved.
        out: the folder or file.
        digest: SHA-256 of the file; of a folder that of its `export.json`, which has those of all files.
        bytes: size of the file, or of all files in the folder.
        images: test images whose answers were compared; None for a folder, which holds the same tensors.
        probability_gap: the largest difference of a probability from the recorded ones.
        artifact: where the file is among the artifacts of the version's run; None if it was not logged.
    """

    model: str
    format: str
    out: str
    digest: str
    bytes: int
    images: int | None = None
    probability_gap: float | None = None
    artifact: str | None = None

    def sentence(self) -> str:
        """Lines for a person."""
        lines = [f"{self.out}: {self.model} as {self.format}, {self.bytes / 1e6:.1f} MB"]
        if self.images is not None:
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
    _check_absent(out)
    stored = stored_model.fetch(str(ModelUri.parse(model)))
    write_folder(stored, out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Exported(stored.name, "folder", str(out), stored_model.file_digest(out / exported.NAME), size)


def export_file(model: str, out: Path, kind: str, images: Path | None = None, log: bool = True) -> Exported:
    """Write a version as one file, after comparing its answers with those that were recorded.

    Args:
        model, out: as in `export_folder`.
        kind: a key of `FILES`.
        images: folder of the test images; None for those of the project.
        log: whether the file is stored with the version's run, and its digest as the tag `export.KIND` of
            the version.

    Raises:
        HeadstartError: `out` exists, or a library is missing.
        TrackingError: see `export_folder`; or the version has no record.
        ModelError: the version was changed after it was registered, or the file does not answer as it did.
        LineageError: the test images cannot be found.
    """
    _check_absent(out)
    if kind == "onnx":
        onnx_file.check_installed()
    stored = stored_model.fetch(str(ModelUri.parse(model)))
    predictor = Predictor.load(stored.head, stored.backbone())
    form = FILES[kind]
    with tempfile.TemporaryDirectory(prefix="headstart-record-") as folder, replacing(out) as new:
        record = open_record(stored.name, Path(folder))
        form.write(program_of(predictor), describe(predictor, stored.name, record.run_id), new)
        checked = check(form.open(new), predictor, record, images)
        digest, size = stored_model.file_digest(new), new.stat().st_size
        artifact = f"{ARTIFACTS}/{form.name}" if log else None
        if log:
            _log(stored.name, record.run_id, kind, new, form.name, digest)
    return Exported(stored.name, kind, str(out), digest, size, checked.images, checked.gap, artifact)


def _log(model: str, run_id: str, kind: str, path: Path, name: str, digest: str) -> None:
    """Store the file with the run, and its digest with the version."""
    client = tracking.connect()
    with tempfile.TemporaryDirectory() as folder, tracking.translated(f"store {ARTIFACTS}/{name}"):
        link = Path(folder) / name
        link.symlink_to(path.resolve())
        client.log_artifact(run_id, str(link), ARTIFACTS)
    versions.tag(model, f"{ARTIFACTS}.{kind}", digest)


def _check_absent(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise HeadstartError(f"{out} exists and is left as it is; name a new one, or remove it first")
