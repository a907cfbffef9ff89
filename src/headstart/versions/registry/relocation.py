"""A project's own tracking database after the project was moved or copied: its files are where it is now."""

import sqlite3
from contextlib import closing
from pathlib import Path

PLACES = (  # tables of MLflow and their columns that hold addresses of files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_project(database: Path, artifacts: Path) -> None:
    """Correct the addresses in a database that were made when the project was in another folder.

    Args:
        database: of a project, at rest or in use.
        artifacts: where the project keeps the files of runs; the last two parts of the path never change.
    """
    end = f"/{artifacts.parent.name}/{artifacts.name}"
    now = artifacts.as_uri().removesuffix(end)
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        found = connection.execute(
            "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE ?",
            (f"file://%{end}",),
        ).fetchall()
        for (location,) in found:
            before = location.removesuffix(end)
            if before == now:
                continue
            for table, column in PLACES:
                query = (
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                )
                start = len(before) + 1
                connection.execute(query, (now, start, start, f"{before}/"))
