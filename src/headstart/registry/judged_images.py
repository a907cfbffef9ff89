"""The test images of a version's record, as files of this machine, and which of them another version saw."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from headstart import paths
from headstart.data.manifest import read_manifest
from headstart.errors import LineageError
from headstart.lineage import fresh_clone
from headstart.registry.record import MANIFEST, Record


@dataclass(frozen=True)
class TestImages:
    """Row by row: the file, its class, and the digest of the decoded picture."""

    files: list[Path]
    labels: list[str]
    pixels: list[str]


def images_of(record: Record, folder: Path) -> TestImages:
    """The test split of a record: from this tree's data/ where it holds the same bytes, else from DVC.

    Args:
        folder: an empty one, for what is fetched.

    Raises:
        LineageError: an image is neither here, nor in DVC's cache or remote, or is another one.
    """
    manifest = read_manifest(record.file(MANIFEST))
    test = manifest[manifest["split"] == "test"]
    wanted = dict(zip(test["path"], test["sha256"], strict=True))
    files = {name: paths.DATA / name for name in wanted if _is(paths.DATA / name, wanted[name])}
    if lacking := [name for name in wanted if name not in files]:
        folder.mkdir(parents=True, exist_ok=True)
        fetched = fresh_clone.restore_files(record.file("data.dvc"), lacking, folder)
        files |= {name: path for name, path in fetched.items() if _is(path, wanted[name])}
    if gone := [name for name in wanted if name not in files]:
        more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        raise LineageError(
            f"{record.name}: test images {', '.join(gone[:5])}{more} are neither in data/ nor in DVC's cache "
            "or remote as they were recorded; without all of them it cannot be judged"
        )
    return TestImages([files[name] for name in wanted], list(test["label"]), list(test["pixels"]))


def seen_by(record: Record) -> set[str]:
    """Digests of the pictures that a version was trained or selected on: its splits train and val."""
    manifest = read_manifest(record.file(MANIFEST))
    return set(manifest.loc[manifest["split"] != "test", "pixels"])


def _is(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
