"""Run one stage on another worker: only the commit and a few texts are sent; data goes through DVC."""

import os
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments import run_deployment
from prefect.states import Cancelled, Cancelling

from headstart.errors import StageError, WorkerLost, without_password
from headstart.repository import worker_clone

POLL_SECONDS = 1.0
NOT_STARTED = {StateType.SCHEDULED, StateType.PENDING}
TOO_LONG = {  # a phase that lasts longer than HEADSTART_PLACEMENT_SECONDS
    "waiting": "no worker took {deployment} in {seconds:.0f} s; start one on its pool (`make services`), "
    "or unset HEADSTART_PLACEMENT",
    "taken": "a worker took {deployment} and did not start it in {seconds:.0f} s; see its log, or allow "
    "more time with HEADSTART_PLACEMENT_SECONDS",
}


def run_placed(stage: str, deployment: str, before: Sequence[str]) -> str:
    """Run a stage on another worker and fetch its outputs.

    Args:
        stage: name in dvc.yaml.
        deployment: `FLOW/NAME`, such as `stage/gpu`.
        before: all stages and .dvc files in the order they run; the outs of those before `stage` are pushed.

    Returns:
        A sentence that reports where the stage ran.

    Raises:
        WorkerLost: the worker that took the stage is gone.
        RemoteUnreachable: the DVC remote does not answer.
        StageError: the stage failed, with the child's own reason; or no worker took it within
            HEADSTART_PLACEMENT_SECONDS (120), or the worker that took it did not start it in that time.
        LineageError: the worker cannot get the tree's code.
    """
    logger = get_run_logger()
    commit, texts = worker_clone.travelling()
    worker_clone.push_stages(before[: before.index(stage)])
    with get_client(sync_client=True) as client:  # opened first: any later error ends the child
        child = run_deployment(
            deployment,
            parameters={"stage": stage, "commit": commit, "texts": texts},
            flow_run_name=f"{stage} {commit[:8]}",
            timeout=0,
        )
        assert isinstance(child, FlowRun)
        try:
            logger.info("%s runs as flow run %r of %s: %s", stage, child.name, deployment, _link(child.id))
            _wait(client, child.id, stage, deployment)
        except BaseException:
            _end(client, child.id)
            raise
        worker_clone.merge_entry(stage, _artifact(client, child.id, f"lock-{stage}"))
    worker_clone.fetch_stage(stage)
    return f"{stage}: done on another worker, flow run {child.name}"


def _wait(client: SyncPrefectClient, run: UUID, stage: str, deployment: str) -> None:
    patience = float(os.environ.get("HEADSTART_PLACEMENT_SECONDS", "120"))
    phase, since = "waiting", time.monotonic()
    while True:
        state = client.read_flow_run(run).state
        if state is not None and state.is_final():
            break
        if (now := _phase(state)) != phase:
            phase, since = now, time.monotonic()
        if phase in TOO_LONG and time.monotonic() - since > patience:
            raise StageError(
                f"stage {stage}: {TOO_LONG[phase].format(deployment=deployment, seconds=patience)}"
            )
        time.sleep(POLL_SECONDS)
    if state.is_crashed():
        raise WorkerLost(f"stage {stage}: its worker is gone ({state.message or 'no reason'})")
    if not state.is_completed():
        raise StageError(
            f"stage {stage} on another worker ended as {state.name}: {state.message or 'no reason'}"
        )


def _phase(state: State[Any] | None) -> str:
    """Return `waiting` for a worker (or unknown), `taken` by one that has not started it, or `running`."""
    if state is None or state.type == StateType.SCHEDULED:
        return "waiting"
    return "taken" if state.type == StateType.PENDING else "running"


def _end(client: SyncPrefectClient, run: UUID) -> None:
    """End the child run: a parent that ends, for any reason, ends its child."""
    state = client.read_flow_run(run).state
    if state is None or not state.is_final():
        waiting = state is None or state.type in NOT_STARTED
        client.set_flow_run_state(run, Cancelled() if waiting else Cancelling(), force=waiting)


def _artifact(client: SyncPrefectClient, run: UUID, key: str) -> str:
    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run]), key=ArtifactFilterKey(any_=[key])
        )
    )
    if not found:
        raise StageError(
            f"flow run {run} left no artifact {key}: it was run by another version of flows/stage.py"
        )
    return str(found[-1].data)


def _link(run: UUID) -> str:
    address = os.environ.get("PREFECT_UI_URL") or os.environ.get("PREFECT_API_URL", "").removesuffix("/api")
    return without_password(f"{address}/runs/flow-run/{run}")
