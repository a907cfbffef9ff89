"""Keep a run's dvc.lock under a git ref, and remove the refs of old runs that no version needs."""

import time
from collections.abc import Callable

from headstart import repository
from headstart.errors import HeadstartError, LineageError
from headstart.repository import old_runs
from headstart.repository.settings import Repository
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.record import REF_TAG, runs_to_keep

DAY = 86400


def keep_run(run_id: str, settings: Repository, say: Callable[[str], object]) -> None:
    """Commit the project, dvc.lock included, under `refs/runs/RUN`, and tag the MLflow run with it.

    If the run made a version, `refs/versions/MODEL/VERSION` points to the same commit, so that DVC finds the
    version's files: `dvc get . artifacts/head.safetensors --rev refs/versions/MODEL/VERSION`. The refs stay
    in this clone unless the settings have them sent; then `refs/versions` is sent only if a server numbers
    the versions: a number from this clone's own database means nothing to others.

    Refs of old runs are removed afterwards.

    Args:
        say: called with a line that reports where each ref is, and with one about the removal, if any. An
            unreachable git remote is only reported there, since MLflow has dvc.lock too.

    Raises:
        LineageError: `refs/versions/MODEL/VERSION` names another run.
    """
    ref = repository.keep_run(run_id)
    named = [repository.name_version(run_id, name, number) for name, number in versions.of_run(run_id)]
    tracking.set_tags(run_id, {REF_TAG: ref})
    for_others, here = ([ref, *named], []) if tracking.is_shared() else ([ref], named)
    say(_keep_or_send(for_others, here, settings))
    if removed := _remove_old(settings):
        say(removed)


def _keep_or_send(for_others: list[str], here: list[str], settings: Repository) -> str:
    """Send the refs for others if that is set; the line that reports where each ref is."""
    remote = repository.remote_name()
    kept = f"{' and '.join([*for_others, *here])} kept in this clone"
    if remote is None:
        return f"{kept}; there is no git remote"
    if not settings.sends_refs:
        return (
            f"{kept} alone. `git push {remote} {' '.join(for_others)}` sends what others can use; "
            "repository.push_refs: true in params.yaml does so after each run"
        )
    try:
        repository.push_refs(for_others)
    except LineageError as error:
        return f"{kept} alone: {error}"
    alone = f"; {' and '.join(here)} kept in this clone" if here else ""
    return f"{' and '.join(for_others)} sent to git remote {remote}{alone}"


def _remove_old(settings: Repository) -> str:
    """Remove the refs of old runs that no version needs, here and, if refs are sent, on the git remote.

    From the remote goes only what the tracking server knows as old and no version names, here or there:
    others may have sent runs of a tracking database of their own. What fails now is left for the next run.

    Returns:
        A line that reports what was removed, or why that failed; "" if there was nothing to do.
    """
    before = time.time() - settings.keep_runs_days * DAY
    try:
        here = old_runs.runs_here()
        old = [run for run, seconds in here.unnamed.items() if seconds < before]
        there = old_runs.unnamed_there() if settings.sends_refs else set()
        old_there = tracking.begun_before(there - here.named, before)
        if not old and not old_there:
            return ""
        needed = runs_to_keep()
        gone_there = sorted(old_there - set(needed))[: old_runs.MOST]
        gone = [run for run in old if run not in needed][: old_runs.MOST]
        places = []
        if gone_there:  # first: after a refusal, this clone has them still
            places.append(f"{len(gone_there)} on git remote {old_runs.remove_there(gone_there)}")
        if gone:
            old_runs.remove_here(gone)
            places.append(f"{len(gone)} in this clone")
    except HeadstartError as error:
        return (
            f"the refs of runs older than {settings.keep_runs_days} days are left for the next run: {error}"
        )
    if not places:
        return ""
    return (
        f"removed the refs of runs older than {settings.keep_runs_days} days that made no version: "
        f"{', '.join(places)}"
    )
