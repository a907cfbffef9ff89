"""Answers of a registered version to the gate's image files, how long one takes, and its size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from headstart.errors import TrackingError
from headstart.pipeline.network import abstention, checkpoint
from headstart.progress import bar
from headstart.versions.registry import stored_model
from headstart.versions.serving.model_process import Answer, ModelProcess

BATCH = 16
AT_ONCE = 64  # images in a request to the process
WARM_UP, TIMED = 3, 20


@dataclass(frozen=True)
class Scores:
    """A version's answers.

    Attributes:
        labels: one a file; of an image that the version refuses, its most probable class.
        refused: whether the version refuses it, one a file.
        classes: all that it knows.
        milliseconds: median of a batch of one; None where it was not timed.
        megabytes: of the version's own files; a backbone that versions share is not counted.
        expected: share of its validation images that the version refuses; None if it always answers.
    """

    labels: list[str]
    refused: list[bool]
    classes: tuple[str, ...]
    milliseconds: float | None
    megabytes: float
    expected: float | None


def score(uri: str, files: Sequence[Path], *, is_timed: bool = False) -> Scores:
    """Ask a version, `models:/NAME/VERSION`, about image files.

    Raises:
        TrackingError: it does not load or answer, cannot read one of them, or code of this tree answered.
    """
    stored = stored_model.fetch(uri)
    paths = [str(path.absolute()) for path in files]
    with ModelProcess(stored, BATCH) as process, bar(len(paths), f"answers of {stored.name}") as progress:
        answers: list[Answer] = []
        for start in range(0, len(paths), AT_ONCE):
            answers += process.ask(paths[start : start + AT_ONCE])
            progress.update(len(answers) - progress.n)
        milliseconds = _time(process, paths[0]) if is_timed else None
    labels = []
    for path, answer in zip(paths, answers, strict=True):
        found = answer.probabilities or {}
        if answer.label is None and not found:
            raise TrackingError(f"{uri} does not answer for {path}: {answer.error}")
        labels.append(answer.label or max(found, key=lambda name: found[name]))
    return Scores(
        labels=labels,
        refused=[answer.label is None for answer in answers],
        expected=_rate(stored.head),
        classes=tuple(sorted(answers[0].probabilities or {})),
        milliseconds=milliseconds,
        megabytes=sum(path.stat().st_size for path in stored.folder.rglob("*") if path.is_file()) / 1e6,
    )


def _rate(head: Path) -> float | None:
    found = abstention.read_abstention(checkpoint.load(head), str(head))
    return None if found is None else found.rate


def _time(process: ModelProcess, path: str) -> float:
    """Median milliseconds of a batch of one."""
    taken = []
    for _ in range(WARM_UP + TIMED):
        started = time.perf_counter()
        process.ask([path])
        taken.append(1000 * (time.perf_counter() - started))
    return median(taken[WARM_UP:])
