"""Markdown for the pages of MLflow and Prefect."""

import re

MARKS = re.compile(r"[\\`*_\[\]<>|~#]")


def cell(text: str, most: int | None = None) -> str:
    """Text as one line that neither ends a table's cell nor starts a format; cut after `most` characters."""
    line = " ".join(text.split())
    if most is not None and len(line) > most:
        line = f"{line[: most - 3]}..."
    return MARKS.sub(r"\\\g<0>", line)
