"""The training flow: every stage of dvc.yaml, a task each, then registration in MLflow.

Run it with `headstart run`, or serve it as a deployment. It has no path, loop or parameter of its own:
a stage is `dvc repro --single-item STAGE`, so that `dvc repro` finds nothing to do after it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from flows.newest_code import newest
from flows.stage_progress import StageOutput
from headstart import lineage, paths
from headstart.errors import HeadstartError, UnreachableError
from headstart.exclusive import acquire
from headstart.lineage import worker_clone
from headstart.owner import end_with_parent
from headstart.tree import enter_tree

if TYPE_CHECKING:
    from headstart.registry.gate import Decision
    from headstart.registry.versions import Registered

PLACED = ("features", "train")  # where HEADSTART_PLACEMENT names a deployment, such as stage/gpu
RETRIES = int(os.environ.get("HEADSTART_RETRIES", "0"))  # of what may pass, where nobody waits for it
RETRY_SECONDS = float(os.environ.get("HEADSTART_RETRY_SECONDS", "30"))
STAGE_SECONDS = float(os.environ.get("HEADSTART_STAGE_SECONDS", 24 * 3600))
STEP_SECONDS = 3600.0


def may_pass(task: object, run: object, state: State[Any]) -> bool:
    """Whether a failure may be gone later: a server or remote that does not answer, and nothing else."""
    try:
        state.result()
    except UnreachableError:
        return True
    except BaseException:
        return False
    return False


AGAIN: dict[str, Any] = {  # options of tasks that ask a server or remote
    "cache_policy": NO_CACHE,
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(RETRY_SECONDS) if RETRIES else None,
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": may_pass,
}


@flow(name="training")
def train_and_register(init_from: str | None = None) -> State[Any]:
    """Make everything that is out of date, then register; what was made before is found as cached.

    Args:
        init_from: an earlier head to train further from, such as `models:/headstart@champion`; without
            it params.yaml decides (`train.init`).

    Returns:
        Completed, named Unchanged where there was nothing to do and Rejected where the version did not
        pass the gate; the message says which version stands in the registry.
    """
    enter_tree()
    if worker_clone.is_own():
        end_with_parent()
    with alone_in_tree():
        try:
            run = in_newest("flows.training", train_in_tree)
        except Exception as error:
            publish_failure(error)
            raise
        done: State[Any] = run(init_from)
        return done


def in_newest(module: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Bring a worker's clone to the newest commit; the function of this module as it is there."""
    return getattr(newest(module), function.__name__) if bring_to_newest() else function


def bring_to_newest() -> bool:
    """Bring a worker's clone to the newest commit of its branch; whether it stood at another one."""
    branch = os.environ.get("HEADSTART_BRANCH")
    if not branch or not worker_clone.is_own():
        return False
    before = lineage.current_commit().commit
    commit = follow_branch(branch)
    get_run_logger().info("at commit %s of %s", commit[:12], branch)
    return commit != before


def train_in_tree(init_from: str | None) -> State[Any]:
    """The flow, by the code of the tree as it stands now."""
    try:
        return _train_and_register(init_from)
    except Exception as error:
        publish_failure(error)
        raise


@contextmanager
def alone_in_tree() -> Iterator[None]:
    """One flow at a time in a tree: the other waits. The system frees the lock of one that was killed."""
    lock = acquire(
        FileLock(".dvc/tmp/headstart-flow.lock"),
        lambda: get_run_logger().info("another flow runs in this tree: waiting for its end"),
    )
    try:
        yield
    finally:
        lock.release()


def _train_and_register(init_from: str | None) -> State[Any]:
    logger = get_run_logger()
    data = str(bring_data().result())
    is_clean = init_from is None and not lineage.stale()
    if is_clean and (found := registered_before()) is not None:
        mark_cached()
        publish_report(found, data, is_unchanged=True)
        logger.info("nothing changed: %s", found.sentence())
        return Completed(name="Unchanged", message=found.sentence())
    run_id = open_tracking()
    try:
        if init_from is not None:
            start_from_earlier_head(init_from)
        mark_cached() if is_clean else run_stages()
        push_results()
        if run_id is None:
            run_id = open_tracking()
        registered = register_model(run_id)
        decision = None if registered.is_settled else judge_version(registered)
        if decision is not None:
            registered = set_aliases(registered, decision)
    except BaseException as error:
        keep_run(run_id)
        close_tracking(run_id, f"{type(error).__name__}: {error}")
        raise
    keep_run(run_id)
    close_tracking(run_id, None)
    publish_report(registered, data, is_unchanged=False)
    tell_challenger(registered)
    logger.info(registered.sentence())
    if decision is None:
        return Completed(message=registered.sentence())
    logger.info(decision.sentence())
    message = f"{registered.sentence()}; {decision.sentence()}"
    return Completed(name="Completed" if decision.passed else "Rejected", message=message)


def run_stages() -> None:
    """Walk all stages in the order of dvc.yaml; the validation pages are rendered beside the later ones.

    Raises:
        HeadstartError: DVC still finds something to do at the end.
    """
    docs = None
    placement = os.environ.get("HEADSTART_PLACEMENT")
    for name in stage_names():
        if placement and name in PLACED:
            run_placed_stage.with_options(name=name)(name, placement)
        else:
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
    from headstart.registry import overview

    if not overview.has_current_pages():
        render_docs()


def stage_names() -> list[str]:
    return [str(lineage.DATA), *lineage.stage_names()]


@task(cache_policy=NO_CACHE, timeout_seconds=STAGE_SECONDS)
def run_stage(name: str, known_clean: bool) -> State[Any]:
    """One stage; it ends as Cached where nothing it depends on has changed."""
    if known_clean:
        return Completed(name="Cached", message=f"{name}: nothing changed")
    output = StageOutput(name)
    pull = ["--pull"] if worker_clone.is_own() else []
    lineage.run_stage(name, output.on_line, output.on_progress, arguments=pull)
    said = output.finish()
    if any("didn't change, skipping" in line for line in output.lines):
        return Completed(name="Cached", message=f"{name}: nothing changed")
    return Completed(message=said or f"{name}: done")


@task(timeout_seconds=STAGE_SECONDS, **AGAIN)
def run_placed_stage(name: str, deployment: str) -> State[Any]:
    """One stage on another worker's clone; it ends as Cached where nothing it depends on has changed."""
    from flows.placement import run_placed

    if not lineage.is_stale(name):
        return Completed(name="Cached", message=f"{name}: nothing changed")
    return Completed(message=run_placed(name, deployment, before=stage_names()))


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def follow_branch(branch: str) -> str:
    """Bring a worker's clone to the newest commit of a branch, with its data."""
    return lineage.follow(branch)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def bring_data() -> State[str]:
    """New, changed and removed images of `data.source`, versioned and pushed.

    Returns:
        A state; its data says in words where the images are from.
    """
    from headstart.params import load_params

    settings = load_params(paths.PARAMS).data
    if settings.source is None:
        said = "as data.dvc names it (`data.source` is null)"
        return Completed(name="Skipped", message=said, data=said)
    from headstart.ingestion import bring

    brought = bring(settings.source, paths.DATA, settings.settle_seconds, settings.max_removed)
    get_run_logger().info("%s: %s", settings.source, brought.sentence())
    lineage.add(paths.DATA)  # each time: an earlier try may have ended between the two
    keep_data()
    return Completed(message=brought.sentence(), data=f"{brought.sentence()}, from {settings.source}")


def keep_data() -> None:
    """Keep data.dvc and dvc.lock under `refs/data/`, here and on the DVC and git remotes."""
    ref = lineage.keep_data(lineage.data_version())
    if lineage.is_sent(ref):
        return
    lineage.push_data()
    try:
        lineage.send_data(ref)
    except HeadstartError as error:
        get_run_logger().error("%s in this clone alone until the next run: %s", ref, error)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def start_from_earlier_head(source: str) -> str:
    """Fetch an earlier head and set `train.init`; nothing changes where it is set already."""
    from headstart.initial_head import init_from

    return init_from(source)


@task(cache_policy=NO_CACHE, timeout_seconds=STEP_SECONDS)
def render_docs() -> None:
    """The validation pages, from the stored result; and the imports of registration, beside the stages."""
    import json

    from headstart.data.docs import render_data_docs

    render_data_docs(json.loads(paths.VALIDATION.read_text(encoding="utf-8")), paths.DATA_DOCS)
    from headstart.registry import registration  # noqa: F401 - 2 s that register_model need not wait for


@task(cache_policy=NO_CACHE, timeout_seconds=STEP_SECONDS)
def registered_before() -> "Registered | None":
    """The version that holds the results in the tree; None where it must be made or looked at."""
    from headstart.errors import TrackingError
    from headstart.params import load_params
    from headstart.registry import versions

    try:
        return versions.registered(load_params(paths.PARAMS).register_.model)
    except TrackingError:  # the whole walk says what is wrong
        return None


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def push_results() -> str:
    """Send data, outs and the run-cache to the DVC remote: a version must be made again without this host."""
    said = lineage.push()
    get_run_logger().info("dvc push: %s", said)
    return said


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def register_model(run_id: str | None) -> "Registered":
    """Register the results; the same results are registered once."""
    from headstart.params import load_params
    from headstart.registry import registration

    params = load_params(paths.PARAMS)
    settings = params.register_
    registered = registration.register(
        settings.model,
        settings.experiment,
        params.model_dump(by_alias=True),
        settings.package,
        settings.dirty,
        run_id=run_id,
    )
    return registered


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def judge_version(registered: "Registered") -> "Decision":
    """The gate: a new version against thresholds, the champion, changed pictures and limits."""
    from headstart.params import load_params
    from headstart.provenance.judging import judge

    params = load_params(paths.PARAMS)
    return judge(registered.name, registered.version, params, lambda text: get_run_logger().info("%s", text))


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def set_aliases(registered: "Registered", decision: "Decision") -> "Registered":
    """`challenger` for a version that passed; `champion` too where there is none."""
    from headstart.registry import aliases

    return aliases.settle(registered, decision)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def publish_report(registered: "Registered", data: str, is_unchanged: bool) -> None:
    """What a person looks for first, on this flow run's page: figures against the champion, and links."""
    from headstart.registry import overview

    create_markdown_artifact(
        key="training-report",
        markdown=overview.as_markdown(registered, data, is_unchanged),
        description="The registered version against the champion",
    )


def publish_failure(error: Exception) -> None:
    """What failed and what to do, on this flow run's page; it hides no other error."""
    if isinstance(error, UnreachableError):
        advice = "This may pass. Once it answers, run again: it goes on from what was made."
    elif isinstance(error, HeadstartError):
        advice = "Correct what the message names, then run again: stages that ended well are not repeated."
    else:
        advice = "Headstart does not know this error: the tab Logs shows where it came from."
    kind = type(error).__name__
    lines = [line.replace("`", "'") for line in str(error).splitlines() if line.strip()]
    said = "  \n".join(f"`{line}`" for line in lines)  # a block of code would not wrap on a telephone
    try:
        create_markdown_artifact(
            key="training-report",
            markdown=f"## Failed: {kind}\n\n{said}\n\n{advice}\n",
            description="Why this run failed",
        )
    except Exception as other:  # Prefect's server may be what is gone
        get_run_logger().error("the report of this failure could not be published: %s", other)


def tell_challenger(registered: "Registered") -> None:
    """An event that automations can use: a new version waits for people to promote it."""
    from headstart.registry import overview, versions

    if not registered.is_new or versions.CHALLENGER not in registered.aliases:
        return
    emit_event(
        event="headstart.challenger",
        resource={
            "prefect.resource.id": f"headstart.version.{registered.name}.{registered.version}",
            "prefect.resource.name": f"{registered.name} version {registered.version}",
        },
        payload={
            "message": registered.sentence(),
            "link": overview.page_of(registered.name, registered.version),
        },
    )


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
