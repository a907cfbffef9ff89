"""The one way in which commands print JSON, for `--json`."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any, TextIO

from headstart.pipeline.data.reading import shown

RESULTS: ContextVar[TextIO | None] = ContextVar("RESULTS", default=None)  # None: standard output


@contextmanager
def results_alone(in_json: bool) -> Iterator[None]:
    """Keep standard output for the results of `--json`: whatever else is printed goes to standard error.

    Child processes are not affected: their output is captured where they are started.
    """
    if not in_json:
        yield
        return
    kept = RESULTS.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        RESULTS.reset(kept)


def print_result(in_json: bool, document: Callable[[], object], text: Callable[[], str]) -> None:
    """Print the result of a command on standard output: as one JSON document, or as text for a person."""
    if in_json:
        print_json(document())
    else:
        print(text())


def print_json(document: object) -> None:
    """Print one JSON document, indented."""
    print(as_json(document, indent=2), file=RESULTS.get(), flush=True)


def print_json_line(document: object) -> None:
    """Print one JSON document on one line and send it off, for results that come one after another."""
    print(as_json(document), file=RESULTS.get(), flush=True)


def as_json(document: object, indent: int | None = None) -> str:
    """A document as JSON text: floats with all their digits, and null for NaN and infinity.

    Args:
        document: dictionaries, lists and tuples of texts, numbers and None.

    Raises:
        TypeError: a part of it is something else.
    """
    text = json.dumps(_without_nan(document), indent=indent, ensure_ascii=False, allow_nan=False)
    return shown(text)  # the escape of a lone surrogate is JSON's too


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return value
