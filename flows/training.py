"""The training flow: every stage of dvc.yaml, a task each, then registration in MLflow.

Run it with `headstart run`, or serve it as a deployment. It has no path, loop or parameter of its own:
a stage is `dvc repro --single-item STAGE`, so that `dvc repro` finds nothing to do after it.
"""

import os
import re
import sys
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from headstart import lineage, paths
from headstart.errors import HeadstartError
from headstart.tree import enter_tree

SHARE = re.compile(r"(\d+)%\|")
DVC_HINTS = (
    "git add dvc.lock",
    "To track the changes with git",
    "auto staging",
    "core.autostage",
    "`dvc push`",
)


@flow(name="training")
def train_and_register(init_from: str | None = None) -> str:
    """Make everything that is out of date, then register; what was made before is found as cached.

    Args:
        init_from: an earlier head to train further from, such as `models:/headstart@champion`; without
            it params.yaml decides (`train.init`).

    Returns:
        The sentence that says which version stands in the registry.
    """
    enter_tree()
    logger = get_run_logger()
    is_clean = init_from is None and not lineage.stale()
    if is_clean and (sentence := registered_before()) is not None:
        mark_cached()
        logger.info("nothing changed: %s", sentence)
        return sentence
    run_id = open_tracking()
    try:
        if init_from is not None:
            start_from_earlier_head(init_from)
        mark_cached() if is_clean else run_stages()
        push_results()
        if run_id is None:
            run_id = open_tracking()
        sentence = register_model(run_id)
    except BaseException as error:
        keep_run(run_id)
        close_tracking(run_id, f"{type(error).__name__}: {error}")
        raise
    keep_run(run_id)
    close_tracking(run_id, None)
    logger.info(sentence)
    return sentence


def run_stages() -> None:
    """Walk all stages in the order of dvc.yaml; the validation pages are rendered beside the later ones.

    Raises:
        HeadstartError: DVC still finds something to do at the end.
    """
    docs = None
    for name in stage_names():
        run_stage.with_options(name=name)(name, known_clean=False)
        if name == "validate":
            docs = render_docs.submit()
    if docs is not None:
        docs.result()
    if left := lineage.stale():
        raise HeadstartError(f"dvc status is not clean after all stages: {', '.join(left)} changed meanwhile")


def mark_cached() -> None:
    """Where DVC finds nothing to do, each stage is a task that ends as Cached."""
    for name in stage_names():
        run_stage.with_options(name=name)(name, known_clean=True)
    index = paths.DATA_DOCS / "index.html"
    if not index.exists() or index.stat().st_mtime < paths.VALIDATION.stat().st_mtime:
        render_docs()


def stage_names() -> list[str]:
    return [str(lineage.DATA), *lineage.stage_names()]


@task(cache_policy=NO_CACHE)
def run_stage(name: str, known_clean: bool) -> State[Any]:
    """One stage; it ends as Cached where nothing it depends on has changed."""
    if known_clean:
        return Completed(name="Cached", message=f"{name}: nothing changed")
    logger = get_run_logger()
    progress = StageProgress(name)
    lines: list[str] = []

    def on_line(line: str) -> None:
        if SHARE.search(line):  # a bar's last state
            progress.show(line)
        elif not any(hint in line for hint in DVC_HINTS):
            progress.end_line()
            lines.append(line)
            logger.info(line)

    lineage.run_stage(name, on_line, progress.show)
    progress.finish()
    if any("didn't change, skipping" in line for line in lines):
        return Completed(name="Cached", message=f"{name}: nothing changed")
    said = [line for line in lines if line.startswith(f"{name}: ")]
    return Completed(message=said[-1] if said else f"{name}: done")


class StageProgress:
    """A stage's bar, on this terminal and as a progress artifact of the task run."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._artifact: Any = None
        self._share = -1.0
        self._line_is_open = False

    def show(self, text: str) -> None:
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
        self._line_is_open = True
        found = SHARE.search(text)
        if found is None:
            return
        share = float(found[1])
        if self._artifact is None:
            self._artifact = create_progress_artifact(share, description=self._stage)
        elif share >= self._share + 5:
            update_progress_artifact(self._artifact, share)
        else:
            return
        self._share = share

    def end_line(self) -> None:
        """Leave the bar where it stands: something else is printed below it."""
        if self._line_is_open:
            print(file=sys.stderr, flush=True)
        self._line_is_open = False

    def finish(self) -> None:
        self.end_line()
        if self._artifact is not None:
            update_progress_artifact(self._artifact, 100.0)


@task(cache_policy=NO_CACHE)
def start_from_earlier_head(source: str) -> str:
    """Fetch an earlier head and set `train.init`; nothing changes where it is set already."""
    from headstart.initial_head import init_from

    return init_from(source)


@task(cache_policy=NO_CACHE)
def render_docs() -> None:
    """The validation pages, from the stored result; and the imports of registration, beside the stages."""
    import json

    from headstart.data.docs import render_data_docs

    render_data_docs(json.loads(paths.VALIDATION.read_text(encoding="utf-8")), paths.DATA_DOCS)
    from headstart.registry import registration  # noqa: F401 - 2 s that register_model need not wait for


@task(cache_policy=NO_CACHE)
def registered_before() -> str | None:
    """The version that holds the results in the tree, in words; None where it must be made or looked at."""
    from headstart.errors import TrackingError
    from headstart.params import load_params
    from headstart.registry import versions

    try:
        found = versions.registered(load_params(paths.PARAMS).register_.model)
    except TrackingError:  # the whole walk says what is wrong
        return None
    return None if found is None else found.sentence()


@task(cache_policy=NO_CACHE)
def push_results() -> str:
    """Send data, outs and the run-cache to the DVC remote: a version must be made again without this host."""
    said = lineage.push()
    get_run_logger().info("dvc push: %s", said)
    return said


@task(cache_policy=NO_CACHE)
def register_model(run_id: str | None) -> str:
    """Register the results; the same results are registered once."""
    from headstart.params import load_params
    from headstart.registry import registration

    params = load_params(paths.PARAMS)
    settings = params.register_
    registered = registration.register(
        settings.model,
        settings.experiment,
        settings.thresholds.model_dump(),
        params.model_dump(by_alias=True),
        settings.package,
        settings.dirty,
        run_id=run_id,
    )
    return registered.sentence()


def open_tracking() -> str | None:
    """Open the MLflow run that this flow run is recorded in; None where MLflow is out of reach.

    The stages need no server, so their work goes on; registration says at the end what failed.
    """
    from headstart.errors import TrackingError
    from headstart.params import load_params
    from headstart.registry import tracking

    settings = load_params(paths.PARAMS).register_
    commit = lineage.current_commit()
    tags = {
        "mlflow.source.git.commit": commit.commit,
        "headstart.flow_run": str(flow_run.get_id() or ""),
        "headstart.flow_run_name": str(flow_run.get_name() or ""),
        "mlflow.runName": str(flow_run.get_name() or "training"),
    }
    try:
        return tracking.open_run(settings.experiment, tags)
    except TrackingError as error:
        get_run_logger().warning("%s", error)
        return None


def keep_run(run_id: str | None) -> None:
    """Keep dvc.lock under `refs/runs/`, of a failed run too; what stands in the way hides no other error."""
    from headstart.provenance import keeping

    if run_id is None:
        return
    try:
        get_run_logger().info("dvc.lock: %s", keeping.keep_run(run_id))
    except HeadstartError as error:
        get_run_logger().error("%s", error)


def close_tracking(run_id: str | None, failure: str | None) -> None:
    """End the MLflow run; a server that went away is logged and hides no other error."""
    from headstart.errors import TrackingError
    from headstart.registry import tracking

    if run_id is None:
        return
    try:
        left = [path for path in (lineage.LOCK, paths.PARAMS, *lineage.versioned_files()) if path.exists()]
        tracking.end_run(run_id, failed=failure, files=left)
    except TrackingError as error:
        get_run_logger().error("%s", error)


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    train_and_register()
