"""The images of a version's record as files on this machine, and which of them another version saw."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart.errors import LineageError, TrackingError
from headstart.ground import paths
from headstart.ground.wording import named
from headstart.host.project import find_root
from headstart.pipeline.data.manifest import read_manifest
from headstart.repository import fresh_clone
from headstart.versions.registry.record import INIT_TAG, MANIFEST, Record, head_of_version, open_record


@dataclass(frozen=True)
class TestImages:
    """The file, class, decoded-pixel digest and group of each image, as parallel lists.

    An image of no group has its pixel digest as its group.
    """

    files: list[Path]
    labels: list[str]
    pixels: list[str]
    groups: list[str]

    @property
    def are_grouped(self) -> bool:
        return self.groups != self.pixels

    def without(self, pixels: set[str]) -> "TestImages":
        """The images whose pixel digest is not among these."""
        kept = [index for index, own in enumerate(self.pixels) if own not in pixels]
        columns = (self.files, self.labels, self.pixels, self.groups)
        return TestImages(*([column[index] for index in kept] for column in columns))  # type: ignore[arg-type]


def test_images(record: Record, folder: Path) -> TestImages:
    """The test split of a record.

    Args:
        folder: an empty folder for fetched files.

    Raises:
        LineageError: an image with the recorded bytes is neither here nor in DVC's cache or remote.
    """
    manifest = read_manifest(record.file(MANIFEST))
    test = manifest[manifest["split"] == "test"]
    groups = list(test["pixels"])
    if "group" in test:  # manifests of early versions have none
        groups = list(test["group"].mask(test["group"] == "", test["pixels"]))
    return TestImages(files_of(record, test, folder), list(test["label"]), list(test["pixels"]), groups)


def files_of(record: Record, rows: pd.DataFrame, folder: Path, data: Path = paths.DATA) -> list[Path]:
    """The files of some rows of a manifest: from this tree's data/ if the bytes match, else from DVC.

    Args:
        folder: an empty folder for fetched files.
        data: used instead of data/. Outside of a project DVC is not asked.

    Raises:
        LineageError: an image with the recorded bytes is neither here nor in DVC's cache or remote.
    """
    wanted = dict(zip(rows["path"], rows["sha256"], strict=True))
    files = {name: data / name for name in wanted if _is(data / name, wanted[name])}
    lacking = [name for name in wanted if name not in files]
    for number, part in enumerate((lacking[:1], lacking[1:])):  # if the first is unavailable, so are the rest
        if not part or find_root(Path.cwd()) is None:
            break
        place = folder / str(number)
        place.mkdir(parents=True)
        fetched = fresh_clone.restore_files(record.file("data.dvc"), part, place)
        files |= {name: path for name, path in fetched.items() if _is(path, wanted[name])}
        if not fetched:
            break
    if gone := [name for name in lacking if name not in files]:
        raise LineageError(
            f"{record.name}: of its {len(wanted)} images {named(gone, most=5)} are neither in "
            f"{data}/ nor in DVC's cache or remote as they were recorded; run this where `dvc pull` "
            "reaches its remote"
        )
    return [files[name] for name in wanted]


def seen_by(record: Record) -> set[str]:
    """Pixel digests of the images that a version was trained or selected on: its splits train and val."""
    manifest = read_manifest(record.file(MANIFEST))
    return set(manifest.loc[manifest["split"] != "test", "pixels"])


@dataclass(frozen=True)
class Earlier:
    """The images seen by a version's ancestors: the heads that its training started from, in turn.

    Attributes:
        heads: number of ancestors.
        pixels: pixel digests of the images that the registered ancestors saw.
        unknown: digest of the head whose images are unknown, since no version with a record holds it; "" if
            all are known.
    """

    heads: int
    pixels: set[str]
    unknown: str


def earlier_heads(record: Record, folder: Path) -> Earlier:
    """Follow `train.init` from version to version, back to a head that was trained from scratch.

    Args:
        folder: an empty folder for the ancestors' records.
    """
    pixels: set[str] = set()
    heads = 0
    while (init := record.tags.get(INIT_TAG, "none")) != "none":
        heads += 1
        parent = head_of_version(init)
        if parent is None:
            return Earlier(heads, pixels, init)
        own = folder / str(heads)
        own.mkdir(parents=True)
        try:
            record = open_record(f"models:/{parent.name}/{parent.version}", own)
            seen = seen_by(record)
        except TrackingError as error:
            if not _is_gone(error):
                raise
            return Earlier(heads, pixels, init)
        pixels |= seen
    return Earlier(heads, pixels, "")


def _is_gone(error: TrackingError) -> bool:
    """Whether the run was removed from the server, or its record is incomplete; else the server failed."""
    cause = error.__cause__
    return cause is None or getattr(cause, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def _is(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
