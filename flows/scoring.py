"""The scoring flow: many images by one exact version to a Parquet file, as `headstart score` does it."""

from importlib import import_module
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from headstart.host.project import enter_tree
from headstart.orchestration.command import quieten
from headstart.orchestration.pull_step import in_newest
from headstart.orchestration.scoring_page import ScoringProgress, as_markdown
from headstart.orchestration.tasks import AGAIN, alone_in_tree

if TYPE_CHECKING:
    from headstart.versions.serving.batch_scoring import Scored


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
    quieten()
    with alone_in_tree():  # what runs is imported here: a flow beside this one may bring the tree elsewhere
        run = in_newest("flows.scoring", score_and_tell)
        import_module("headstart.versions.serving.batch_scoring")
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

    from headstart.versions.serving.batch_scoring import score_to_file

    return score_to_file(source, Path(out), model, batch, ScoringProgress())


if __name__ == "__main__":
    raise SystemExit("run this flow by `headstart score IN OUT`, or its deployment scoring/on-demand")
