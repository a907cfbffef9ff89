"""The guard's own check: every few minutes it compares alias and journal, in case a webhook was lost.

A flow on a schedule would do the same, and leave 288 runs a day among which trainings are hard to find. This
check starts the promotion flow only if there is something to judge.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headstart.errors import without_password

SECONDS = 300.0
LONGEST = timedelta(hours=2)  # of a run of the promotion flow
FLOW, NAME = "promotion", "guard"
DEPLOYMENT = f"{FLOW}/{NAME}"
LOG = logging.getLogger("uvicorn.error")


def check_regularly(
    differs: Callable[[], bool], start: Callable[[], str | None], seconds: float, stop: threading.Event
) -> None:
    """Check at once and then every `seconds`, until `stop` is set.

    An error is logged and ends nothing: the next check makes up for it.

    Args:
        differs: whether alias and journal differ.
        start: starts the promotion flow, and returns the run's id; None if a run waits or works already.
    """
    while True:
        try:
            if differs() and (run := start()) is not None:
                LOG.warning("alias and journal differ, and no run is at it: flow run %s judges it", run)
        except Exception as error:
            LOG.error(
                "champion was not checked, next try in %.0f s: %s", seconds, without_password(str(error))
            )
        if stop.wait(seconds):
            return


def start_if_idle() -> str | None:
    """Start the promotion flow without waiting for it, unless a run of it waits or works already.

    A run that has been pending or working for two hours is taken for lost: nothing ends a run whose worker
    died before its first heartbeat. Another run does no harm: they wait for one another, and judge a change
    once.

    Returns:
        The id of the new run; None if there is another.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    active = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=[FLOW])),
            deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[NAME])),
            flow_run_filter=filters.FlowRunFilter(
                state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=active))
            ),
            limit=50,
        )
    now = datetime.now(UTC)
    late = [run for run in found if run.state is not None and now - run.state.timestamp > LONGEST]
    for run in late:
        assert run.state is not None
        LOG.warning("flow run %s is %s since %s", run.id, run.state.name, run.state.timestamp)
    waits = any(run.state is None or run.state.is_scheduled() for run in found)
    return None if waits or len(late) < len(found) else start_promotion()


def start_promotion() -> str:
    """Start the promotion flow without waiting for it; return the run's id."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments import run_deployment

    run = run_deployment(DEPLOYMENT, timeout=0, as_subflow=False)
    assert isinstance(run, FlowRun)
    return str(run.id)
