"""The scoring flow: score many images with one exact version into a Parquet file, like `headstart score`."""

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
    """Score the images of a folder, glob pattern or list into a Parquet file with one row per image.

    A killed run resumes where it stopped when it is started again; a complete file is left as it is.

    Args:
        source: a folder, pattern or list on the worker's machine; a list may name URLs.
        out: the Parquet file; relative paths are below the worker's clone, so give an absolute one.
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`, resolved once, at the start.
        batch: images per forward pass.

    Returns:
        One line that reports what was done.
    """
    enter_tree()
    quieten()
    with alone_in_tree():  # imported here: later, another flow may move the tree to another commit
        run = in_newest("flows.scoring", score_and_tell)
        import_module("headstart.versions.serving.batch_scoring")
    sentence: str = run(source, out, model, batch)
    return sentence


def score_and_tell(source: str, out: str, model: str, batch: int) -> str:
    """The flow itself, run with the code that was in the tree at its start."""
    scored = score(source, out, model, batch)
    create_markdown_artifact(
        key="scoring", markdown=as_markdown(scored), description="Images per class, errors, and the version"
    )
    get_run_logger().info(scored.sentence())
    return scored.sentence()


@task(**AGAIN)
def score(source: str, out: str, model: str, batch: int) -> "Scored":
    """Score all images; only an unreachable server leads to a retry, which resumes where the last stopped."""
    from pathlib import Path

    from headstart.versions.serving.batch_scoring import score_to_file

    return score_to_file(source, Path(out), model, batch, ScoringProgress())


if __name__ == "__main__":
    raise SystemExit("run this flow by `headstart score IN OUT`, or its deployment scoring/score")
