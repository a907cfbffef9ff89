"""Batch scoring: many images with one exact version, into a Parquet file; a killed run can be resumed."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from headstart.errors import DataError, without_password
from headstart.ground.files import replacing
from headstart.ground.reading import reading
from headstart.pipeline.network import checkpoint
from headstart.sources.scoring_inputs import Input, find_inputs, mark_of
from headstart.versions.registry import stored_model
from headstart.versions.registry.uri import ModelUri
from headstart.versions.serving.model_process import Answer, ModelProcess
from headstart.versions.serving.signature import BATCH, LARGEST_BATCH

METADATA_KEY = b"headstart"
PART_ROWS = 256  # after a kill, at most this many images are scored again
GROUP_VALUES = 4_000_000  # probabilities in a row group of the result
DISTINCT, OTHER = 1000, "other reasons"


@dataclass(frozen=True)
class Version:
    """The exact model that scored; `name` and `number` are None if it is not a registered version."""

    uri: str
    name: str | None
    number: str | None
    head: str
    backbone: str
    backbone_source: str
    run_id: str


@dataclass(frozen=True)
class Scored:
    """A finished result file."""

    out: Path
    version: Version
    rows: int
    was_there: bool

    def sentence(self) -> str:
        """One line for a person."""
        failed = sum(self.errors().values())
        done = "nothing to do: it holds" if self.was_there else "scored"
        errors = f", {failed} without a label (column `error`)" if failed else ""
        return f"{self.out}: {done} {self.rows} images{errors} by {self.version.uri}"

    def as_dict(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "out": str(self.out),
            "model": self.version.uri,
            "images": self.rows,
            "labels": dict(self.labels()),
            "errors": dict(self.errors()),
            "was_there": self.was_there,
        }

    def labels(self) -> Counter[str]:
        """Number of images per label."""
        return self._count("label")

    def errors(self) -> Counter[str]:
        """Number of images without a label per reason; reasons beyond the first 1000 are counted as one."""
        return self._count("error")

    def _count(self, column: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        with pq.ParquetFile(self.out) as file:
            for batch in file.iter_batches(columns=[column]):
                for value in batch.column(0).to_pylist():
                    if value is not None:
                        counts[value if value in counts or len(counts) < DISTINCT else OTHER] += 1
        return counts


@dataclass(frozen=True)
class _Part:
    """Inputs `start` to `stop`; `key` is a digest of these inputs and the version."""

    path: Path
    start: int
    stop: int
    key: str

    def is_done(self) -> bool:
        return _metadata(self.path).get("part") == self.key

    def table(self) -> pa.Table:
        with reading(self.path, "delete it, and run the same command again"):
            return pq.read_table(self.path, page_checksum_verification=True)


def score_to_file(
    source: str,
    out: Path,
    model: str,
    batch: int = BATCH,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> Scored:
    """Score the images of `source`; write one row per image, in order: path, label, probabilities or error.

    Parts are written to `out`.parts, next to `out`, as they are finished, and joined at the end. A part that
    the same version has scored from the same files (size and time) is not scored again, so a killed run can
    be resumed with a byte-identical result. A complete `out` is left as it is.

    Args:
        source: see `find_inputs`.
        model: `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/model`.
        batch: images per forward pass, 1 to 256.
        report: called with the number of images done and the total.

    Raises:
        DataError: there is nothing to score, `out` is not a result of batch scoring, or another process is
            writing it.
        TrackingError: MLflow is unreachable, or the model does not answer.
    """
    folder = out.with_name(f"{out.name}.parts")
    if not 1 <= batch <= LARGEST_BATCH:
        raise DataError(f"batch is {batch}; expected 1 to {LARGEST_BATCH} images")
    known = _known(out)
    inputs = find_inputs(source, without=(out, folder))
    stored = stored_model.fetch(model)
    version, classes = _version(stored)
    parts = list(_plan(inputs, folder, version, batch))
    whole = hashlib.sha256("".join(part.key for part in parts).encode()).hexdigest()
    if known.get("inputs") == whole:
        return Scored(out, version, len(inputs), was_there=True)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if _known(out).get("inputs") == whole:  # another process finished it meanwhile
            return Scored(out, version, len(inputs), was_there=True)
        process = ModelProcess(stored, batch)
        _score_parts(parts, inputs, version, classes, process, report)
        about = {
            "version": asdict(version),
            "source": without_password(source),
            "batch": batch,
            "inputs": whole,
        }
        _join(parts, out, _schema(classes, about), classes)
        for part in folder.glob("[0-9]*.parquet"):  # an earlier, longer input may have left more
            part.unlink()
    return Scored(out, version, len(inputs), was_there=False)


def _version(stored: stored_model.StoredModel) -> tuple[Version, list[str]]:
    """The version as described by its own files, and its classes."""
    head = checkpoint.metadata(stored.head, checkpoint.HEAD)
    uri = ModelUri.parse(stored.name)
    backbone = head["backbone"]
    version = Version(
        uri=stored.name,
        name=uri.name,
        number=uri.number,
        head=head["digest"],
        backbone=backbone["digest"],
        backbone_source=backbone["source"],
        run_id=stored.run_id,
    )
    return version, list(head["classes"])


def _plan(inputs: Sequence[Input], folder: Path, version: Version, batch: int) -> Iterator[_Part]:
    for start in range(0, len(inputs), PART_ROWS):
        rows = inputs[start : start + PART_ROWS]
        content = [asdict(version), batch, [[*row, mark_of(row.location)] for row in rows]]
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        yield _Part(folder / f"{start // PART_ROWS:08}.parquet", start, start + len(rows), key)


def _score_parts(
    parts: Sequence[_Part],
    inputs: Sequence[Input],
    version: Version,
    classes: Sequence[str],
    process: ModelProcess,
    report: Callable[[int, int], object],
) -> None:
    missing = [part for part in parts if not part.is_done()]
    done = len(inputs) - sum(part.stop - part.start for part in missing)
    report(done, len(inputs))
    if not missing:
        return
    with process:
        for part in missing:
            rows = inputs[part.start : part.stop]
            answers: list[Answer] = []
            step = 4 * process.batch
            for start in range(0, len(rows), step):
                some = process.ask([row.location for row in rows[start : start + step]])
                answers += some
                done += len(some)
                report(done, len(inputs))
            table = _table(rows, answers, _schema(classes, {"part": part.key}), version.uri)
            with replacing(part.path) as new:
                pq.write_table(table, new, write_page_checksum=True)


def _table(rows: Sequence[Input], answers: Sequence[Answer], schema: pa.Schema, version: str) -> pa.Table:
    found = [answer.probabilities or {} for answer in answers]
    columns = {
        "path": [without_password(row.path) for row in rows],
        "label": [answer.label for answer in answers],
        "confidence": [max(row.values(), default=None) for row in found],
        "error": [answer.error for answer in answers],
        "model_version": [version] * len(rows),
    }
    columns |= {name: [row.get(_class_of(name)) for row in found] for name in schema.names[len(columns) :]}
    return pa.table(columns, schema=schema)


def _schema(classes: Sequence[str], about: dict[str, Any]) -> pa.Schema:
    texts = [pa.field(name, pa.string()) for name in ("path", "label")]
    fields = [*texts, pa.field("confidence", pa.float64())]
    fields += [pa.field(name, pa.string()) for name in ("error", "model_version")]
    fields += [pa.field(f"probability:{name}", pa.float64()) for name in classes]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(about, sort_keys=True).encode()})


def _class_of(column: str) -> str:
    return column.removeprefix("probability:")


def _join(parts: Sequence[_Part], out: Path, schema: pa.Schema, classes: Sequence[str]) -> None:
    """Write all parts to one file, in row groups of bounded size."""
    at_once = max(1, GROUP_VALUES // (PART_ROWS * len(classes)))
    with replacing(out) as new, pq.ParquetWriter(new, schema) as writer:
        for start in range(0, len(parts), at_once):
            tables = [part.table() for part in parts[start : start + at_once]]
            joined = pa.concat_tables(tables).replace_schema_metadata(schema.metadata)
            writer.write_table(joined, row_group_size=joined.num_rows)


def _known(out: Path) -> dict[str, Any]:
    """The metadata of an earlier result, empty if there is none.

    Raises:
        DataError: the file is not a result of batch scoring and would be lost.
    """
    if not out.exists():
        return {}
    if not (about := _metadata(out)):
        raise DataError(f"{out} exists and was not written by `headstart score`; name another file")
    return about


def _metadata(path: Path) -> dict[str, Any]:
    try:
        text = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
        about: dict[str, Any] = json.loads(text) if text else {}
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return about


class _alone:
    """Context manager that lets one process at a time write a result; a kill releases the lock."""

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "lock")
        self._folder = folder

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise DataError(
                f"another process is scoring into {self._folder.with_suffix('')}; wait for it"
            ) from None

    def __exit__(self, *error: object) -> None:
        if not any(self._folder.glob("*.parquet")):
            (self._folder / "lock").unlink(missing_ok=True)
            with suppress(OSError):  # somebody else's files
                self._folder.rmdir()
        self._lock.release()
