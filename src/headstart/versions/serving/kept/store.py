"""The store of kept answers: filled by servers, read by monitoring; removed by id, age and size."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from headstart.errors import HeadstartError
from headstart.versions.serving.kept import database, pruning
from headstart.versions.serving.kept.image_files import ImageFiles, extension_of
from headstart.versions.serving.kept.rows import COLUMNS, Kept, micros, row_of, time_of, values_of

PAGE = 500  # rows per query: between two of them, others may shorten the log
GB = 10**9
FIRST, LAST = -(2**62), 2**62  # microseconds, before and after every time
ADD = f"INSERT OR IGNORE INTO kept ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
READ = f"""
SELECT kept.time, kept.number, images.extension, labels.label, labels.time,
    {", ".join(f"kept.{name}" for name in COLUMNS)}
FROM kept LEFT JOIN images ON images.sha256 = kept.image LEFT JOIN labels ON labels.id = kept.id
WHERE (kept.time, kept.number) > (?, ?) AND kept.time < ? AND kept.model_version = coalesce(?, model_version)
ORDER BY kept.time, kept.number LIMIT {PAGE}
"""
HOLD = """
INSERT INTO images VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET extension = excluded.extension, bytes = excluded.bytes
"""
Label = tuple[str, str, datetime]
Labelled = tuple[Kept, str, datetime]


class KeptStore:
    """Kept answers in one folder, shared by processes; use it as a context manager.

    Args:
        is_new: whether the folder is made if it is missing, for its owner alone.

    Raises:
        HeadstartError: the folder is missing or cannot be used, or others may enter a new one. Methods raise
            it too, if the database or a file cannot be used.
    """

    def __init__(self, folder: Path, is_new: bool = False) -> None:
        if is_new:
            database.make(folder)
        self._folder, self._files = folder, ImageFiles(folder)
        self._database = database.open_file(folder, is_new)

    def __enter__(self) -> "KeptStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, rows: Sequence[Kept], images: Mapping[str, bytes]) -> int:
        """Keep answers; they are on the disk when this returns. An id that is known stays as it was.

        Args:
            images: image files by SHA-256; bytes without the header of one are left out.

        Returns:
            How many rows are new.
        """
        with database.explained(self._folder), database.writing(self._database):
            held = {sha256 for sha256, data in images.items() if self._hold(sha256, data)}
            values = [values_of(row, row.sha256 if row.sha256 in held else None) for row in rows]
            new = sum(self._database.execute(ADD, each).rowcount for each in values)
            if new < len(rows):
                pruning.remove_unused(self._database, self._files)
        return new

    def read(
        self, since: datetime | None = None, until: datetime | None = None, version: str | None = None
    ) -> Iterator[Kept]:
        """Yield rows by time.

        Args:
            since: the first time, with its zone.
            until: the first time that is not read any more.
            version: `models:/NAME/VERSION`; all versions by default.
        """
        for row, _ in self._rows(since, until, version):
            yield row

    def labelled(
        self, since: datetime | None = None, until: datetime | None = None, version: str | None = None
    ) -> Iterator[Labelled]:
        """Yield rows that have a true label, with it and its time; as `read`."""
        for row, label in self._rows(since, until, version):
            if label is not None:
                yield row, *label

    def add_labels(self, labels: Iterable[Label]) -> list[str]:
        """Store true labels: id of the image, label, and when it was found; a known one is replaced.

        Returns:
            Ids of images that are not kept, whose labels are not stored.
        """
        unknown = []
        with database.explained(self._folder), database.writing(self._database):
            for id_, label, time in labels:
                if self._database.execute("SELECT 1 FROM kept WHERE id = ?", (id_,)).fetchone() is None:
                    unknown.append(id_)
                    continue
                values = (id_, label, micros(time))
                self._database.execute("REPLACE INTO labels VALUES (?, ?, ?)", values)
        return unknown

    def add_picks(self, picks: Mapping[str, str]) -> None:
        """Note which images were picked for labelling, and why: `random`, or a reason to doubt the answer.

        Images that are not kept any more are left out.
        """
        add = "INSERT OR IGNORE INTO picks SELECT id, ? FROM kept WHERE id = ?"
        with database.explained(self._folder), database.writing(self._database):
            self._database.executemany(add, [(why, id_) for id_, why in picks.items()])

    def picks(self) -> dict[str, str]:
        """Why each image was picked, by its id."""
        with database.explained(self._folder):
            return dict(self._database.execute("SELECT id, why FROM picks").fetchall())

    def was_reported(self, cause: str) -> bool:
        """Whether `add_report` was called with this cause of an alarm."""
        with database.explained(self._folder):
            found = self._database.execute("SELECT 1 FROM alarms WHERE cause = ?", (cause,))
            return found.fetchone() is not None

    def add_report(self, cause: str) -> None:
        """Note that people were notified of an alarm's cause."""
        with database.explained(self._folder), database.writing(self._database):
            values = (cause, micros(datetime.now(UTC)))
            self._database.execute("INSERT OR IGNORE INTO alarms VALUES (?, ?)", values)

    def matching(self, id_: str) -> list[str]:
        """Ids of the images that an id stands for: of one image, or of a request."""
        with database.explained(self._folder):
            found = self._database.execute("SELECT id FROM kept WHERE id = ? OR request = ?", (id_, id_))
            return [name for (name,) in found.fetchall()]

    def remove(self, ids: Iterable[str]) -> int:
        """Remove images by their ids or those of their requests: rows, labels, and files nobody refers to.

        Nothing of them is in the files of the store any more when this returns.

        Returns:
            How many rows are gone.

        Raises:
            HeadstartError: another process reads for so long that removed rows are still in the log.
        """
        with database.explained(self._folder):
            removed = pruning.remove_ids(self._database, ids)
            pruning.clean(self._database, self._files)
            database.rewrite(self._database)
            if not database.shorten_log(self._database):
                raise HeadstartError(
                    f"{removed} rows were removed, but another process is still reading {self._folder}, so "
                    "their bytes may be in kept.sqlite-wal: `headstart kept prune` overwrites them later"
                )
        return removed

    def prune(self, max_days: float, max_gb: float) -> int:
        """Remove what is too old, then the oldest rows beyond the size; mend what a killed process left.

        Args:
            max_gb: of image files and rows together, in 10^9 bytes.

        Returns:
            How many rows are gone.
        """
        oldest = micros(datetime.now(UTC) - timedelta(days=max_days))
        with database.explained(self._folder):
            removed = pruning.remove_older(self._database, oldest)
            removed += pruning.remove_beyond(self._database, int(max_gb * GB))
            pruning.mend(self._database, self._files)
            pruning.clean(self._database, self._files)
            database.shorten_log(self._database)
        return removed

    def totals(self) -> pruning.Totals:
        """How much is kept."""
        with database.explained(self._folder):
            return pruning.totals(self._database)

    def _hold(self, sha256: str, data: bytes) -> bool:
        """Whether an image file is in the store now."""
        found = self._database.execute("SELECT extension FROM images WHERE sha256 = ?", (sha256,)).fetchone()
        if found is not None and self._files.path(sha256, found[0]).is_file():
            return True
        extension = extension_of(data)
        if extension is None:
            return False
        self._files.write(sha256, extension, data)
        self._database.execute(HOLD, (sha256, extension, len(data)))
        return True

    def _rows(
        self, since: datetime | None, until: datetime | None, version: str | None
    ) -> Iterator[tuple[Kept, tuple[str, datetime] | None]]:
        place = (FIRST if since is None else micros(since), 0)
        end = LAST if until is None else micros(until)
        while True:
            with database.explained(self._folder):
                page = self._database.execute(READ, (*place, end, version)).fetchall()
            yield from map(self._of, page)
            if len(page) < PAGE:
                return
            place = page[-1][:2]

    def _of(self, found: Sequence[Any]) -> tuple[Kept, tuple[str, datetime] | None]:
        _, _, extension, label, time, *values = found
        image = None if extension is None else self._files.path(values[-1], extension)
        return row_of(values, image), None if label is None else (label, time_of(time))
