"""Markdown for the pages of MLflow and Prefect."""

import re
from collections.abc import Iterable, Sequence

MARKS = re.compile(r"[\\`*_\[\]<>|~#]")


def cell(text: str, most: int | None = None) -> str:
    """Text as one line that neither ends a table's cell nor starts a format; cut after `most` characters."""
    line = " ".join(text.split())
    if most is not None and len(line) > most:
        line = f"{line[: most - 3]}..."
    return MARKS.sub(r"\\\g<0>", line)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns stand apart in MLflow's pages too, whose cells have no padding.

    Args:
        header, rows: texts as `cell` returns them. A column that is empty in every row is left out.
    """
    lines = [list(row) for row in rows]
    kept = [index for index in range(len(header)) if any(line[index] for line in lines)]
    spaced = [[f"{line[index]}&emsp;" for index in kept] for line in (list(header), *lines)]
    written = [f"| {' | '.join(line)} |" for line in spaced]
    return "\n".join([written[0], "|---" * len(kept) + "|", *written[1:]])
