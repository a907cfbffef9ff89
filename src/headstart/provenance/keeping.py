"""A run's dvc.lock outlives the clone it was made in: a git ref of its own, here and on the git remote."""

from headstart import lineage
from headstart.errors import LineageError
from headstart.registry import tracking, versions
from headstart.registry.record import REF_TAG


def keep_run(run_id: str) -> str:
    """Commit the tree, dvc.lock included, under `refs/runs/RUN`, push it, and name it on the MLflow run.

    Where the run made a version, `refs/versions/MODEL/VERSION` is the same commit, so that DVC finds what
    belongs to the version: `dvc get . artifacts/head.safetensors --rev refs/versions/MODEL/VERSION`.

    A number of a tracking database that is this clone's own means nothing to others: it is not pushed.

    Returns:
        A line that says where it is. A git remote that cannot be had is said there: MLflow has the lock too.
    """
    ref = lineage.keep_run(run_id)
    named = [lineage.name_version(ref, name, number) for name, number in versions.of_run(run_id)]
    tracking.set_tags(run_id, {REF_TAG: ref})
    told = " and ".join([ref, *named])
    try:
        remote = lineage.push_refs([ref, *(named if tracking.is_shared() else [])])
    except LineageError as error:
        return f"{told} in this clone alone: {error}"
    return f"{told} here" + (f", sent to git remote {remote}" if remote else "; there is no git remote")
