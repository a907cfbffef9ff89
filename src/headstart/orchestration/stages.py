"""The stages of dvc.yaml as tasks, run here or on another worker if HEADSTART_PLACEMENT is set."""

import os
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headstart import repository
from headstart.errors import DataError, HeadstartError, ParamsError
from headstart.ground import paths
from headstart.ground.reading import load_json
from headstart.ground.wording import named
from headstart.orchestration.live_curves import LiveCurves, Run
from headstart.orchestration.stage_output import StageOutput
from headstart.orchestration.tasks import AGAIN, STAGE_SECONDS, STEP_SECONDS
from headstart.progress import FOLLOWED
from headstart.repository import worker_clone

PLACED = ("features", "train")  # if HEADSTART_PLACEMENT names a deployment, such as stage/gpu


def run_stages(run: Run) -> None:
    """Run all stages in the order of dvc.yaml; the validation pages are rendered alongside the later ones.

    Args:
        run: the MLflow run that shows the epochs of a long training, unless another worker trains.

    Raises:
        ParamsError: params.yaml lacks what dvc.yaml lists, without which DVC runs no stage.
        HeadstartError: DVC still finds something out of date at the end.
    """
    if not paths.DATA.is_dir() and not worker_clone.is_own():
        raise DataError(
            f"there is no {paths.DATA}/: get the images in data.dvc with `make data` (`headstart data`), or "
            f"put your own there, one subfolder per class, and run `dvc add {paths.DATA}`"
        )
    if needed := repository.unset_params():
        raise ParamsError(
            f"params.yaml lacks {named(needed)}, listed in dvc.yaml; `headstart upgrade` adds them"
        )
    docs = None
    placement = os.environ.get("HEADSTART_PLACEMENT")
    for name in stage_names():
        if placement and name in PLACED:
            run_placed_stage.with_options(name=name)(name, placement)
        else:
            curves = LiveCurves(run) if name == "train" else None
            run_stage.with_options(name=name)(name, known_clean=False, curves=curves)
        if name == "validate":
            docs = render_docs.submit()
    if docs is not None:
        docs.result()
    if left := repository.stale():
        raise HeadstartError(f"dvc status is not clean after all stages: {', '.join(left)} changed meanwhile")


def mark_cached() -> None:
    """Run each stage as a task that ends as Cached, for when DVC finds nothing to do."""
    for name in stage_names():
        run_stage.with_options(name=name)(name, known_clean=True)
    from headstart.versions.release import overview

    if not overview.has_current_pages():
        render_docs()


def stage_names() -> list[str]:
    return [str(repository.DATA), *repository.stage_names()]


@task(cache_policy=NO_CACHE, timeout_seconds=STAGE_SECONDS)
def run_stage(name: str, known_clean: bool, curves: LiveCurves | None = None) -> State[Any]:
    """Run one stage; it ends as Cached if none of its dependencies changed."""
    if known_clean:
        return Completed(name="Cached", message=f"{name}: nothing changed")
    output = StageOutput(name, curves.add if curves else None)
    pull = ["--pull"] if worker_clone.is_own() else []
    followed = {FOLLOWED: "1"} if curves else {}
    try:
        repository.run_stage(name, output.on_line, output.on_progress, arguments=pull, environment=followed)
    finally:
        if curves is not None:
            curves.finish()
    said = output.finish()
    if any("didn't change, skipping" in line for line in output.lines):
        return Completed(name="Cached", message=f"{name}: nothing changed")
    return Completed(message=said or f"{name}: done")


@task(timeout_seconds=STAGE_SECONDS, **AGAIN)
def run_placed_stage(name: str, deployment: str) -> State[Any]:
    """Run one stage in another worker's clone; it ends as Cached if none of its dependencies changed."""
    from headstart.orchestration.placement import run_placed

    if not repository.is_stale(name):
        return Completed(name="Cached", message=f"{name}: nothing changed")
    return Completed(message=run_placed(name, deployment, before=stage_names()))


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def start_from_earlier_head(source: str) -> str:
    """Fetch an earlier head and set `train.init`; changes nothing if it is already set to that head."""
    from headstart.versions.provenance.initial_head import init_from

    return init_from(source).sentence()


@task(cache_policy=NO_CACHE)  # in a thread, which no timeout can interrupt
def render_docs() -> None:
    """Render the validation pages from the stored result, and import registration while the stages run."""
    from headstart.pipeline.data_docs.pages import render_data_docs

    render_data_docs(load_json(paths.VALIDATION), paths.DATA_DOCS)
    from headstart.versions.release import registration  # noqa: F401 - 2 s that register_model need not wait for
