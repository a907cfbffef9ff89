"""A run's dvc.lock outlives the clone it was made in: a git ref of its own, here and on the git remote."""

from headstart import lineage
from headstart.errors import LineageError
from headstart.registry import tracking
from headstart.registry.record import REF_TAG


def keep_run(run_id: str) -> str:
    """Commit the tree, dvc.lock included, under `refs/runs/RUN`, push it, and name it on the MLflow run.

    Returns:
        A line that says where it is. A git remote that cannot be had is said there: MLflow has the lock too.
    """
    ref = lineage.keep_run(run_id)
    tracking.set_tags(run_id, {REF_TAG: ref})
    try:
        remote = lineage.push_run(ref)
    except LineageError as error:
        return f"{ref} is in this clone alone: {error}"
    return f"{ref} is in this clone" + (
        f" and on git remote {remote}" if remote else "; there is no git remote"
    )
