"""Read the files that stages and other programs wrote; a missing or damaged one is an error that names it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import DamagedFile, HeadstartError
from headstart.ground.wording import shortened

if TYPE_CHECKING:
    import pandas as pd

MAKE_AGAIN = "`dvc checkout` restores what a stage made, `dvc repro` makes it again"


@contextmanager
def reading(path: Path, advice: str = MAKE_AGAIN) -> Iterator[None]:
    """Turn any error of the block, which reads `path`, into one that names the file and what to do.

    Raises:
        DamagedFile: the block failed. Errors of our own pass unchanged.
    """
    try:
        yield
    except HeadstartError:
        raise
    except FileNotFoundError as error:
        raise DamagedFile(f"there is no {path}; {advice}") from error
    except Exception as error:  # readers raise whatever the bytes of a damaged file make them raise
        reason = shortened(" ".join(f"{type(error).__name__}: {error}".split()))
        raise DamagedFile(f"cannot read {path}: it is cut off or damaged ({reason}); {advice}") from error


def load_json(path: Path, advice: str = MAKE_AGAIN, kind: type = dict) -> Any:
    """A JSON document whose outermost value is a `kind`.

    Raises:
        DamagedFile: it is missing or damaged.
    """
    with reading(path, advice):
        found = json.loads(path.read_bytes())
        if not isinstance(found, kind):
            raise TypeError(f"expected a {kind.__name__}, found a {type(found).__name__}")
        return found


def load_table(path: Path, columns: Sequence[str] | None = None, advice: str = MAKE_AGAIN) -> "pd.DataFrame":
    """A table in a `.parquet` or `.csv` file; `columns` are those to read, all by default.

    Raises:
        DamagedFile: it is missing or damaged, or lacks a column.
    """
    import pandas as pd  # takes half a second, which readers of JSON need not wait for

    with reading(path, advice):
        if path.suffix == ".csv":
            return pd.read_csv(path, usecols=columns)
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
