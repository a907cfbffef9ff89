"""Answers in production with the labels known for them: from the kept answers, or from a scores file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headstart.errors import DataError
from headstart.versions.monitoring.feedback.label_table import Key, Matched
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore

PREFIX = "probability:"
COLUMNS = (
    *("id", "name", "time", "version", "predicted", "confidence"),
    *("refused", "picture", "image", "label", "picked"),
)
SCORES = ["path", "label", "error", "model_version"]


@dataclass(frozen=True)
class Answers:
    """Answered images.

    Attributes:
        source: of the answers, for people.
        table: one row per image, with COLUMNS. `time` (UTC) is missing if it is unknown; `predicted` is the
            most probable class, also of an answer that was refused, and None if the image cannot be read;
            `picture` is equal for copies of one file; `image` is the file, or None; `label` is the true class
            or None; `picked` means that it was chosen for labelling because it is doubtful.
        classes: of the version of each answer.
    """

    source: str
    table: pd.DataFrame
    classes: Mapping[str, tuple[str, ...]]

    def classes_by_id(self) -> dict[str, tuple[str, ...]]:
        """The classes that the answer of each id chose from; of an unreadable image, all that are known."""
        every = tuple(sorted({name for names in self.classes.values() for name in names}))
        own = zip(self.table["id"], self.table["version"], strict=True)
        return {id_: self.classes.get(version, every) for id_, version in own}

    def ids_for(self, by: Key) -> dict[str, list[str]]:
        """The ids that a key may mean: a path, the id of an image, or that of a request."""
        found: dict[str, list[str]] = {}
        for id_, name in zip(self.table["id"], self.table["name"], strict=True):
            key = name if by == "path" else id_.rpartition(":")[0]
            found.setdefault(key, []).append(id_)
        return found | ({} if by == "path" else {id_: [id_] for id_ in self.table["id"]})

    def labelled(self, matched: Matched) -> "Answers":
        """A copy with labels; a label's own time replaces that of the answer."""
        table = self.table.copy()
        rows = table["id"].map(matched.labels)
        given = rows.notna()
        table.loc[given, "label"] = [row.label for row in rows[given]]
        times = [
            row.when if has_label and row.when else time
            for row, has_label, time in zip(rows, given, table["time"], strict=True)
        ]
        table["time"] = pd.to_datetime(pd.Series(times, table.index, dtype=object), utc=True)
        return Answers(self.source, table, self.classes)


def kept_answers(store: KeptStore, folder: Path) -> Answers:
    """All kept answers, with the labels that were stored for them."""
    labels = {row.id: (label, time) for row, label, time in store.labelled()}
    picked = {id_ for id_, why in store.picks().items() if why != "random"}
    classes: dict[str, tuple[str, ...]] = {}
    rows = []
    for kept in store.read():
        if kept.probabilities is not None:
            classes.setdefault(kept.model_version, tuple(kept.probabilities))
        label, time = labels.get(kept.id, (None, kept.time))
        rows.append(_row(kept, label) | {"time": time, "picked": kept.id in picked})
    return Answers(f"answers kept in {folder}", _table(rows), classes)


def _row(kept: Kept, label: str | None) -> dict[str, object]:
    found = kept.probabilities
    best = None if found is None else max(found, key=found.__getitem__)
    return {
        "id": kept.id,
        "name": kept.name,
        "version": kept.model_version,
        "predicted": best,
        "confidence": float("nan") if found is None or best is None else found[best],
        "refused": found is not None and kept.label is None,
        "picture": kept.sha256 or kept.id,
        "image": kept.image,
        "label": label,
    }


def scored_answers(path: Path) -> Answers:
    """The rows of a file that `headstart score` wrote; an image's id is its path, and no time is known.

    Raises:
        DataError: it is another kind of file.
    """
    try:
        found = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {error}; name a file of `headstart score`"
        ) from error
    probabilities = [name for name in found if name.startswith(PREFIX)]
    if lacking := [name for name in SCORES if name not in found] or ([] if probabilities else [PREFIX]):
        raise DataError(f"{path} has no column {', '.join(lacking)}; name a file of `headstart score`")
    chances = found[probabilities].to_numpy(np.float64)
    read = ~np.isnan(chances).any(1)
    names = np.array([name.removeprefix(PREFIX) for name in probabilities], object)
    best = np.nan_to_num(chances).argmax(1)
    predicted = names[best]
    predicted[~read] = None
    table = pd.DataFrame(
        {
            "id": found["path"],
            "name": found["path"],
            "version": found["model_version"],
            "predicted": predicted,
            "confidence": np.where(read, chances[np.arange(len(best)), best], np.nan),
            "refused": read & found["label"].isna().to_numpy(bool),
            "picture": found["path"],
            "image": [Path(name) if Path(name).is_file() else None for name in found["path"]],
            "label": None,
            "time": pd.NaT,
            "picked": False,
        }
    )
    classes = dict.fromkeys(found["model_version"], tuple(names))
    return Answers(str(path), _typed(table), classes)


def _table(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    return _typed(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """The columns in order; texts are plain objects, so that None stays None."""
    table = table[list(COLUMNS)].reset_index(drop=True)
    table["time"] = pd.to_datetime(table["time"], utc=True)
    for name in ("id", "name", "version", "predicted", "picture", "image", "label"):
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    return table.astype({"refused": bool, "picked": bool, "confidence": float})
