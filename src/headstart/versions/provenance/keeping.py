"""Keep a run's dvc.lock under a git ref, here and on the git remote, so that it outlives this clone."""

from headstart import repository
from headstart.errors import LineageError
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.record import REF_TAG


def keep_run(run_id: str) -> str:
    """Commit the project, dvc.lock included, under `refs/runs/RUN`, push it, and tag the MLflow run with it.

    If the run made a version, `refs/versions/MODEL/VERSION` points to the same commit, so that DVC finds the
    version's files: `dvc get . artifacts/head.safetensors --rev refs/versions/MODEL/VERSION`. That ref is
    pushed only if a server numbers the versions: a number from this clone's own database means nothing to
    others.

    Raises:
        LineageError: `refs/versions/MODEL/VERSION` names another run.

    Returns:
        A line that reports where each ref is. An unreachable git remote is only reported there, since MLflow
        has dvc.lock too.
    """
    ref = repository.keep_run(run_id)
    named = [repository.name_version(run_id, name, number) for name, number in versions.of_run(run_id)]
    tracking.set_tags(run_id, {REF_TAG: ref})
    sent, here = ([ref, *named], []) if tracking.is_shared() else ([ref], named)
    try:
        remote = repository.push_refs(sent)
    except LineageError as error:
        return f"{' and '.join([ref, *named])} kept in this clone alone: {error}"
    if remote is None:
        return f"{' and '.join([ref, *named])} kept in this clone; there is no git remote"
    alone = f"; {' and '.join(here)} kept in this clone" if here else ""
    return f"{' and '.join(sent)} sent to git remote {remote}{alone}"
