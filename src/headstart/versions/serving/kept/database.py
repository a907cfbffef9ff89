"""The SQLite file of kept answers: opened for several processes at once, for its owner alone."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.errors import HeadstartError, NothingKept

FILE = "kept.sqlite"
FORMAT = 1  # of the tables
WAIT_SECONDS = 10.0  # while another process writes
OTHERS = 0o077  # permissions that nobody but the owner needs
SETTINGS = (
    "journal_mode = WAL",  # readers and the writer do not wait for each other
    "synchronous = NORMAL",
    "secure_delete = ON",  # what is removed is overwritten
    "foreign_keys = ON",
    "temp_store = MEMORY",
)
TABLES = """
CREATE TABLE images (sha256 TEXT PRIMARY KEY, extension TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT;
CREATE TABLE kept (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, request TEXT NOT NULL, time INTEGER NOT NULL,
    name TEXT, model_version TEXT NOT NULL, label TEXT, probabilities TEXT, error TEXT, sha256 TEXT,
    image TEXT REFERENCES images (sha256)
) STRICT;
CREATE INDEX by_time ON kept (time, number);
CREATE INDEX by_request ON kept (request);
CREATE INDEX by_image ON kept (image);
CREATE TABLE labels (
    id TEXT PRIMARY KEY REFERENCES kept (id) ON DELETE CASCADE, label TEXT NOT NULL, time INTEGER NOT NULL
) STRICT;
CREATE TABLE picks (id TEXT PRIMARY KEY REFERENCES kept (id) ON DELETE CASCADE, why TEXT NOT NULL) STRICT;
CREATE TABLE alarms (cause TEXT PRIMARY KEY, time INTEGER NOT NULL) STRICT;
"""


def make(folder: Path) -> None:
    """Make the folder for its owner alone, if there is none.

    Raises:
        HeadstartError: it cannot be made or written, or others may enter a folder that was there before.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise HeadstartError(f"{folder} cannot be made ({error.strerror}); name another folder") from error
    mode = folder.stat().st_mode & 0o777
    if mode & OTHERS:
        raise HeadstartError(
            f"others may enter {folder} (mode {mode:o}), which is to hold the images of clients: "
            f"name a new folder, or `chmod 700 {folder}`"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HeadstartError(f"{folder} cannot be written; change its owner, or name another folder")


def open_file(folder: Path, is_new: bool) -> sqlite3.Connection:
    """Open the database of a folder.

    Args:
        is_new: whether it is made if it is missing.

    Raises:
        NothingKept: there is none.
        HeadstartError: it cannot be used.
    """
    path = folder / FILE
    with explained(folder):
        is_there = path.is_file()
    if not (is_new or is_there):
        raise NothingKept(
            f"nothing is kept in {folder}: set serve.keep in params.yaml to a share of requests, such as "
            "0.05, and restart the server; or name another folder"
        )
    with explained(folder), _alone(folder):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            _prepare(database, path)
        except BaseException:
            database.close()
            raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    for setting in SETTINGS:
        database.execute(f"PRAGMA {setting}").fetchall()
    found = database.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        database.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
    elif found != FORMAT:
        raise HeadstartError(
            f"{path} has format {found}, expected {FORMAT}: another version of Headstart wrote it; use that "
            "one, or name another folder"
        )


@contextmanager
def writing(database: sqlite3.Connection) -> Iterator[None]:
    """One transaction; meanwhile no other process changes rows or images."""
    database.execute("BEGIN IMMEDIATE")
    with database:  # commits, or rolls back
        yield


def rewrite(database: sqlite3.Connection) -> None:
    """Write the whole file anew: SQLite moves rows within it, and copies may stay between those in use."""
    database.execute("VACUUM")


def shorten_log(database: sqlite3.Connection) -> bool:
    """Write the log into the file and empty it; False if other processes read for too long."""
    [is_busy, *_] = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Errors of SQLite and the file system name the folder."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise HeadstartError(
            f"kept answers in {folder} cannot be used: {error}; make room, wait for whatever holds the "
            "database, or name another folder"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time opens the database: the first one makes its tables."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
