"""Print predictions as they arrive: a table for people, JSON lines for programs."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from headstart.cli.json_output import print_json_line
from headstart.errors import DataError, HeadstartError
from headstart.pipeline.data.reading import shown

Scored = Iterable[tuple[Path, np.ndarray | DataError]]


def print_predictions(
    scored: Scored,
    names: Sequence[str],
    files: Sequence[Path],
    as_json: bool,
    refusal: Callable[[np.ndarray], str | None] = lambda scores: None,
) -> None:
    """Print one line per file: its label and probability, or why it has none.

    Args:
        refusal: why the head gives no label for the probabilities of a file; None if it gives one.

    Raises:
        HeadstartError: no file could be read.
    """
    width = max(len(shown(str(path))) for path in files)
    label_width = max(len(name) for name in names)
    read = 0
    for path, scores in scored:
        if isinstance(scores, DataError):
            _print_failure(path, scores, width, as_json)
            continue
        read += 1
        best, refused = int(scores.argmax()), refusal(scores)
        if as_json:
            found = {name: float(score) for name, score in zip(names, scores, strict=True)}
            label = {"label": names[best]} if refused is None else {"label": None, "error": refused}
            print_json_line({"path": str(path), **label, "probabilities": found})
        elif refused is not None:
            print(f"{shown(str(path)):<{width}}  {refused} ({names[best]} {scores[best]:.4f})", flush=True)
        else:
            print(
                f"{shown(str(path)):<{width}}  {names[best]:<{label_width}}  {scores[best]:.4f}", flush=True
            )
    _check_read(read, files)


def print_top(scored: Scored, names: Sequence[str], files: Sequence[Path], top: int, as_json: bool) -> None:
    """Print the best outputs of each file: a heading and one line per output, or one JSON line.

    Raises:
        HeadstartError: no file could be read.
    """
    read = 0
    for path, scores in scored:
        if isinstance(scores, DataError):
            _print_failure(path, scores, 0, as_json)
            continue
        read += 1
        best = np.argsort(-scores, kind="stable")[:top]
        if as_json:
            found = [{"index": int(i), "category": names[i], "probability": float(scores[i])} for i in best]
            print_json_line({"path": str(path), "top": found})
        else:
            print(shown(str(path)))
            for index in best:
                print(f"  {scores[index]:.4f}  {names[index]}", flush=True)
    _check_read(read, files)


def _print_failure(path: Path, error: DataError, width: int, as_json: bool) -> None:
    if as_json:
        print_json_line({"path": str(path), "error": str(error)})
    else:
        print(f"{shown(str(path)):<{width}}  cannot be read: {error}", flush=True)


def _check_read(read: int, files: Sequence[Path]) -> None:
    if not read:
        raise HeadstartError(f"none of {len(files)} files could be read")
