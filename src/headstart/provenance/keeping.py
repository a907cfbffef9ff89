"""A run's dvc.lock outlives the clone it was made in: a git ref of its own, here and on the git remote."""

from headstart import lineage
from headstart.errors import LineageError
from headstart.registry import tracking, versions
from headstart.registry.record import REF_TAG


def keep_run(run_id: str) -> str:
    """Commit the tree, dvc.lock included, under `refs/runs/RUN`, push it, and name it on the MLflow run.

    Where the run made a version, `refs/versions/MODEL/VERSION` is the same commit, so that DVC finds what
    belongs to the version: `dvc get . artifacts/head.safetensors --rev refs/versions/MODEL/VERSION`.

    Returns:
        A line that says where it is. A git remote that cannot be had is said there: MLflow has the lock too.
    """
    ref = lineage.keep_run(run_id)
    refs = [ref]
    refs += [lineage.name_version(ref, name, number) for name, number in versions.of_run(run_id)]
    tracking.set_tags(run_id, {REF_TAG: ref})
    try:
        remote = lineage.push_refs(refs)
    except LineageError as error:
        return f"{' and '.join(refs)} in this clone alone: {error}"
    where = f"here and on git remote {remote}" if remote else "here; there is no git remote"
    return f"{' and '.join(refs)} {where}"
