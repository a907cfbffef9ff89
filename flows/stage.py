"""Run one stage for a training flow elsewhere, in this worker's own clone, and push its outs with DVC."""

from functools import partial

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from headstart import repository
from headstart.errors import StageError
from headstart.host.owner import end_with_parent
from headstart.host.project import enter_tree
from headstart.orchestration.placed_pixels import fetch_images
from headstart.orchestration.stage_output import StageOutput
from headstart.repository import worker_clone


@flow(name="stage")
def run_stage_here(stage: str, commit: str, texts: dict[str, str]) -> str:
    """Check out the commit, write the texts, run the stage, push its outs and publish its entry in dvc.lock.

    Args:
        stage: name in dvc.yaml.
        commit: full hash of a commit that this clone's git remote has.
        texts: contents of params.yaml, dvc.lock and the .dvc files, by path.

    Returns:
        The stage's own last sentence.
    """
    worker_clone.check_own()
    enter_tree()
    end_with_parent()
    worker_clone.take(commit, texts)
    were_fetched = fetch_images(stage)
    output = StageOutput(stage)
    arguments = ["--pull", "--allow-missing"]
    run = partial(repository.run_stage, stage, output.on_line, output.on_progress, arguments=arguments)
    try:
        run()
    except StageError:
        if were_fetched or not fetch_images(stage):
            raise
        run()
    worker_clone.push_stages([stage])
    create_markdown_artifact(
        key=f"lock-{stage}",
        markdown=worker_clone.lock_entry(stage),
        description=f"What stage {stage} made: its entry of dvc.lock",
    )
    return output.finish() or f"{stage}: taken from DVC's run-cache"


if __name__ == "__main__":
    raise SystemExit("this flow is started by the training flow of another clone (HEADSTART_PLACEMENT)")
