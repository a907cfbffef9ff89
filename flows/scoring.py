"""The scoring flow: many images by one exact version to a Parquet file, as `headstart score` does it."""

import time
from importlib import import_module
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from flows.training import AGAIN, alone_in_tree, in_newest
from headstart.tree import enter_tree

if TYPE_CHECKING:
    from headstart.batch_scoring import Scored

SHOWN_ERRORS = 20
PROGRESS_SECONDS = 5.0


@flow(name="scoring")
def score_images(source: str, out: str, model: str = "models:/headstart@champion", batch: int = 32) -> str:
    """Score the images of a folder, a glob pattern or a list, a row each in a Parquet file.

    A run that was killed goes on where it was when it is started again; a complete file is left as it is.

    Args:
        source: on the worker's machine; a list may name URLs.
        out: the Parquet file; relative paths are below the worker's clone, so give an absolute one.
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`, resolved once, at the start.
        batch: images in one forward pass.

    Returns:
        What was done, in one line.
    """
    enter_tree()
    with alone_in_tree():  # what runs is imported here: a flow beside this one may bring the tree elsewhere
        run = in_newest("flows.scoring", score_and_tell)
        import_module("headstart.batch_scoring")
    sentence: str = run(source, out, model, batch)
    return sentence


def score_and_tell(source: str, out: str, model: str, batch: int) -> str:
    """The flow, by the code that the tree had at its start."""
    scored = score(source, out, model, batch)
    create_markdown_artifact(
        key="scoring", markdown=as_markdown(scored), description="Images a class, errors, and the version"
    )
    get_run_logger().info(scored.sentence())
    return scored.sentence()


@task(**AGAIN)
def score(source: str, out: str, model: str, batch: int) -> "Scored":
    """All of it; a retry goes on where the last try was, and only a server out of reach is tried again."""
    from pathlib import Path

    from headstart.batch_scoring import score_to_file

    return score_to_file(source, Path(out), model, batch, _Progress())


class _Progress:
    """Shows what is done on the flow run's page, at most every few seconds."""

    def __init__(self) -> None:
        self._artifact = create_progress_artifact(0.0, key="scoring-progress", description="Images scored, %")
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next or done == total:
            update_progress_artifact(self._artifact, 100 * done / total)  # type: ignore[arg-type]
            self._next = time.monotonic() + PROGRESS_SECONDS


def as_markdown(scored: "Scored") -> str:
    """Counts by class, the commonest errors, and what scored."""
    from headstart.registry import overview

    version = scored.version
    lines = [f"## {scored.rows} images by {version.uri}", "", f"In `{scored.out}`.", ""]
    lines += ["| label | images |", "|---|---|"]
    lines += [f"| {label} | {count} |" for label, count in sorted(scored.labels().items())]
    errors = scored.errors()
    lines += ["", f"Without a label: {sum(errors.values())}.", ""]
    lines += [f"- {count} x {_one_line(error)}" for error, count in errors.most_common(SHOWN_ERRORS)]
    lines += [
        "",
        f"Head `{version.head[:12]}`, backbone `{version.backbone[:12]}`, run `{version.run_id}`.",
        "",
    ]
    if version.name is not None and version.number is not None:
        lines += overview.links(version.name, version.number)
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:300]


if __name__ == "__main__":
    raise SystemExit("run this flow by `headstart score IN OUT`, or its deployment scoring/on-demand")
