"""Read classes, splits and groups from a table in the data folder."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from headstart.errors import DataError
from headstart.ground.files import replacing
from headstart.ground.wording import named
from headstart.pipeline.data.layout import SPLIT_NAMES, Found, check_names, split_named

COLUMNS = ("path", "label")
OPTIONAL = ("split", "group")
SHOWN = 5  # paths that an error names


def read_labels(table: Path, images: Sequence[str]) -> list[Found]:
    """The class of each image that a table lists, sorted by path; images that it lacks have the label "".

    Args:
        table: `.csv` (UTF-8) or `.parquet` with the columns `path`, relative to the data folder, and `label`;
            `split` (train, val, test or their usual names) and `group` may be there too. Other columns are
            kept as texts.
        images: POSIX paths relative to the data folder.

    Raises:
        DataError: the table is missing, cannot be read or lacks a column; a path is listed twice or lies
            outside the data folder; a split has no known name or only some rows have one; or two classes
            differ only by case, blanks or the normalisation of Unicode.
    """
    rows = _checked(table)
    rows["path"] = [path_in(table, path) for path in rows["path"]]
    if twice := rows.loc[rows["path"].duplicated(), "path"].tolist():
        raise DataError(f"{table} lists {named(twice, SHOWN)} more than once; keep one row per image")
    splits = _splits(table, rows)
    check_names(rows["label"])
    listed = [
        Found(path, label.strip(), split, group, columns=columns)
        for path, label, split, group, columns in zip(
            rows["path"], rows["label"], splits, rows["group"], _others(rows), strict=True
        )
    ]
    known = set(rows["path"])
    return sorted(
        [*listed, *(Found(path, "", "") for path in images if path not in known)], key=lambda each: each.path
    )


def read_table(table: Path) -> pd.DataFrame:
    """The table as it is; the cells of a `.csv` are texts.

    Raises:
        DataError: it is missing or cannot be read.
    """
    if table.exists() and not table.is_file():
        raise DataError(f"{table}, which data.labels names, is no file; put the table of labels there")
    try:
        if is_parquet(table):
            return pd.read_parquet(table)
        return pd.read_csv(table, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no {table}, which data.labels names; put it there") from error
    except Exception as error:  # readers raise whatever a damaged file makes them raise
        raise DataError(f"{table} cannot be read as a table of labels: {error}") from error


def write_table(table: Path, rows: pd.DataFrame) -> None:
    """Replace the table, in its own format; a copy in DVC's cache that it was linked to stays as it was."""
    with replacing(table) as new:
        if is_parquet(table):
            rows.to_parquet(new, index=False)
        else:
            rows.to_csv(new, index=False)


def is_parquet(table: Path) -> bool:
    return table.suffix.lower() == ".parquet"


def path_in(table: Path, path: str) -> str:
    """A path as the listing of the data folder writes it, from one in a table.

    Raises:
        DataError: it lies outside the data folder.
    """
    clean = PurePosixPath(path.strip().replace("\\", "/"))
    if clean.is_absolute() or ".." in clean.parts or not clean.parts:
        raise DataError(
            f"{table}: the path {path!r} is not one of a file in {table.parent}; write it from there"
        )
    return clean.as_posix()


def _checked(table: Path) -> pd.DataFrame:
    """All columns as texts, those that are known first."""
    rows = read_table(table)
    if is_parquet(table):
        rows = rows.astype(object).where(lambda column: column.notna(), "").astype(str)
    if lacking := [name for name in COLUMNS if name not in rows]:
        raise DataError(
            f"{table} has no column {' and no column '.join(lacking)}; it has {', '.join(map(str, rows))}. "
            "Expected the columns path and label, and if needed split and group"
        )
    known = [*COLUMNS, *OPTIONAL]
    rows.columns = rows.columns.map(str)
    others = sorted({*rows.columns} - {*known})
    return rows.reindex(columns=[*known, *others], fill_value="")


def _others(rows: pd.DataFrame) -> list[tuple[tuple[str, str], ...]]:
    """Of each row, the names and texts of the columns that mean nothing to the pipeline."""
    names = [name for name in rows if name not in (*COLUMNS, *OPTIONAL)]
    return [
        tuple(zip(names, map(str.strip, texts), strict=True)) for texts in rows[names].to_numpy().tolist()
    ]


def _splits(table: Path, rows: pd.DataFrame) -> list[str]:
    given = [text.strip() for text in rows["split"]]
    if not any(given):
        return given
    splits = [split_named(text) for text in given]
    for path, text, split in zip(rows["path"], given, splits, strict=True):
        if not split:
            found = f"{text!r} as the split" if text else "no split, although other rows have one"
            raise DataError(f"{table}: {path} has {found}; expected one of {', '.join(SPLIT_NAMES)}")
    if "train" not in splits:
        raise DataError(f"{table} names the splits {', '.join(sorted({*splits}))} but no row for training")
    return splits
