"""A folder of images for a person to label: pictures, and a table with an empty column `label`."""

import csv
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from headstart.errors import DataError
from headstart.ground.files import replacing
from headstart.pipeline.data.decoding import read_picture
from headstart.pipeline.data.manifest import read_manifest
from headstart.pipeline.data.near_duplicates import Groups, near_duplicates
from headstart.pipeline.data.reading import read_file
from headstart.pipeline.data.thumbnails import grey
from headstart.pipeline.store.store import open_rows
from headstart.progress import bar
from headstart.versions.monitoring.feedback.picking import choose
from headstart.versions.monitoring.observing import Observed, Observer
from headstart.versions.monitoring.reference import observed_split
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.monitoring.unusual import unusualness
from headstart.versions.registry import stored_model
from headstart.versions.registry.record import MANIFEST, open_record

TABLE, IMAGES = "labels.csv", "images"


@dataclass(frozen=True)
class Picked:
    """Images in a folder, by the reason why each was picked."""

    folder: Path
    why: Mapping[str, str]

    def sentence(self) -> str:
        """One line for a person."""
        counts = pd.Series(list(self.why.values()), dtype=object).value_counts()
        parts = ", ".join(f"{count} {why}" for why, count in counts.items())
        return f"{len(self.why)} images ({parts}) are in {self.folder}: fill in the column label of {TABLE}"


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        DataError: it is not empty, or is a file.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} is not an empty folder; name a new one")


def candidates_of(table: pd.DataFrame, picked: Mapping[str, str]) -> pd.DataFrame:
    """The answers whose image may be picked: readable, on this machine, one per file, and not labelled yet.

    Raises:
        DataError: there are none.
    """
    done = set(table.loc[table["label"].notna() | table["id"].isin(picked), "picture"])
    rows = table[table["predicted"].notna() & table["image"].notna() & ~table["picture"].isin(done)]
    rows = rows.drop_duplicates("picture", keep="last").reset_index(drop=True)
    if rows.empty:
        raise DataError(
            "no kept image is left to label: all were picked before, or the images themselves are not kept "
            "(serve.keep_images)"
        )
    return rows


def random_ids(rows: pd.DataFrame, count: int, seed: str) -> list[str]:
    """At most `count` ids of the newest version's answers, drawn at random."""
    newest = rows.loc[rows["time"].idxmax(), "version"] if rows["time"].notna().any() else None
    own = rows.loc[rows["version"] == newest, "id"].tolist()
    return random.Random(seed).sample(own, min(count, len(own)))


def doubtful_ids(
    rows: pd.DataFrame, model: str, count: int, settings: Monitor, say: Callable[[str], object]
) -> dict[str, str]:
    """At most `count` ids with the reason why each image should be labelled, as a version sees them now.

    At most `monitor.max_rows` images are looked at, the newest ones.

    Raises:
        LineageError: the training images of the version cannot be fetched.
        TrackingError: MLflow is out of reach or has no such version.
    """
    stored = stored_model.fetch(model)
    observer = Observer(stored.head, stored.backbone())
    with TemporaryDirectory() as folder, open_rows() as store:
        record = open_record(stored.name, Path(folder))
        manifest = read_manifest(record.file(MANIFEST))
        new_rows = rows[~rows["picture"].isin(set(manifest["sha256"]))]
        rest = new_rows.sort_values("time").tail(settings.max_rows)
        say(f"{record.name} looks at {len(rest)} kept images that are not in its data")
        with bar(len(rest), "kept images") as progress:
            files = list(zip(rest["id"], rest["image"], strict=True))
            new = observer.observe(files, store, progress.update)
        images = manifest.drop_duplicates("pixels")
        train = images[images["split"] == "train"].head(settings.max_rows)
        known = observed_split(record, train, observer, store, "train")
    return _chosen(new, known, dict(files), count) if len(new) else {}


def _chosen(new: Observed, known: Observed, files: Mapping[str, Path], count: int) -> dict[str, str]:
    ids = new.table["path"].tolist()
    families = _families([files[id_] for id_ in ids])
    apart = unusualness(known.features, new.features).new
    confidence = new.table["confidence"].to_numpy(np.float64)
    return {ids[place]: why for place, why in choose(confidence, apart, new.features, families, count)}


def _families(files: list[Path]) -> list[int]:
    """Equal numbers for files that are nearly the same picture."""
    thumbnails = []
    for path in files:
        with read_picture(read_file(path)) as picture:
            thumbnails.append(grey(picture.rgb))
    groups = Groups(len(files))
    for pair in near_duplicates(np.stack(thumbnails)):
        groups.connect(pair.first, pair.second)
    return [groups.root(place) for place in range(len(files))]


def write_folder(folder: Path, rows: pd.DataFrame, why: Mapping[str, str]) -> Picked:
    """Copy the images of these ids, and write the table to fill in; those removed meanwhile are left out."""
    wanted = rows["id"].isin(why) & rows["image"].map(Path.is_file)
    own = rows[wanted].sort_values("id")
    (folder / IMAGES).mkdir(parents=True, mode=0o700, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")  # images of clients
    lines = []
    for id_, image in zip(own["id"], own["image"], strict=True):
        name = f"{IMAGES}/{id_}{image.suffix}"
        shutil.copyfile(image, folder / name)
        lines.append((id_, name, ""))
    with replacing(folder / TABLE) as new, new.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("id", "path", "label"), *lines])
    return Picked(folder, {id_: why[id_] for id_ in own["id"]})
