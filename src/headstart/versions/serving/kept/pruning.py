"""Removing kept answers, and mending what a killed process left behind."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from headstart.versions.serving.kept.database import writing
from headstart.versions.serving.kept.image_files import ImageFiles

USED = """
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
OLDEST_FIRST = """
SELECT kept.time, kept.number, coalesce((
    SELECT bytes FROM images WHERE images.sha256 = kept.image AND NOT EXISTS (
        SELECT 1 FROM kept AS later
        WHERE later.image = kept.image AND (later.time, later.number) > (kept.time, kept.number)
    )
), 0) FROM kept ORDER BY kept.time, kept.number
"""
FORGET = (
    "UPDATE kept SET name = NULL, image = NULL WHERE time < ? AND (name IS NOT NULL OR image IS NOT NULL)"
)
OLDER = """
DELETE FROM kept WHERE time < ?
    AND (id NOT IN (SELECT id FROM labels) OR id IN (SELECT id FROM picks WHERE why != 'random'))
"""
UNUSED = (
    "SELECT sha256, extension FROM images WHERE NOT EXISTS (SELECT 1 FROM kept WHERE image = images.sha256)"
)


class Totals(NamedTuple):
    """How much is kept.

    Attributes:
        rows: one per answered image.
        images: image files.
        bytes: of the image files and of the database.
    """

    rows: int
    images: int
    bytes: int


def totals(database: sqlite3.Connection) -> Totals:
    [rows] = database.execute("SELECT count(*) FROM kept").fetchone()
    images, size = database.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM images").fetchone()
    return Totals(rows, images, size + database.execute(USED).fetchone()[0])


def remove_ids(database: sqlite3.Connection, ids: Iterable[str]) -> int:
    """Remove the rows of images or requests; return how many."""
    with writing(database):
        gone = [database.execute("DELETE FROM kept WHERE id = ? OR request = ?", (id_, id_)) for id_ in ids]
        return sum(each.rowcount for each in gone)


def remove_older(database: sqlite3.Connection, oldest: int) -> int:
    """Remove rows from before a time in microseconds since 1970; return how many.

    Of those with a true label the figures stay, without name and image: accuracy over time needs them. Those
    that were picked for being doubtful go: without the many that they were picked from, they would count too
    much.
    """
    with writing(database):
        database.execute(FORGET, (oldest,))
        return database.execute(OLDER, (oldest,)).rowcount


def remove_beyond(database: sqlite3.Connection, most: int) -> int:
    """Remove the oldest rows until `most` bytes are left; return how many."""
    with writing(database):
        rows, _, total = totals(database)
        excess = float(total - most)
        if excess <= 0 or not rows:
            return 0
        per_row = database.execute(USED).fetchone()[0] / rows
        last = (0, 0)
        for time, number, freed in database.execute(OLDEST_FIRST):
            last = (time, number)
            excess -= freed + per_row
            if excess <= 0:
                break
        beyond = "DELETE FROM kept WHERE (time, number) <= (?, ?)"
        return database.execute(beyond, last).rowcount


def mend(database: sqlite3.Connection, files: ImageFiles) -> None:
    """Remove files that no row names, also half-written ones; a row whose file is gone keeps its digest."""
    with writing(database):
        rows = database.execute("SELECT sha256, extension, bytes FROM images")
        named = {files.path(sha256, extension): (sha256, size) for sha256, extension, size in rows}
        for path, size in list(files.all()):
            if path in named and named[path][1] == size:
                del named[path]
            else:
                path.unlink(missing_ok=True)
        for sha256, _ in named.values():
            database.execute("UPDATE kept SET image = NULL WHERE image = ?", (sha256,))
            database.execute("DELETE FROM images WHERE sha256 = ?", (sha256,))


def clean(database: sqlite3.Connection, files: ImageFiles) -> None:
    """Remove the files of images that no row names any more."""
    with writing(database):
        remove_unused(database, files)


def remove_unused(database: sqlite3.Connection, files: ImageFiles) -> None:
    """The same, in a transaction that has begun; a file is gone before its entry, or none would find it."""
    for sha256, extension in database.execute(UNUSED).fetchall():
        files.remove(sha256, extension)
        database.execute("DELETE FROM images WHERE sha256 = ?", (sha256,))
