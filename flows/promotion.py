"""The promotion flow: an alias that changed by hand is judged, and recorded or put back."""

import os
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from flows.training import BACKOFF, RETRIES, STEP_SECONDS, is_worker_clone, may_pass
from headstart import lineage, paths
from headstart.tree import enter_tree

if TYPE_CHECKING:
    from headstart.registry.promotion import Outcome

EVENT = "headstart.promotion-refused"


@flow(name="promotion")
def check_champion() -> State[None]:
    """Compare the alias with the journal, and judge what differs.

    Returns:
        Completed, named Unchanged where they agree and Refused where a version was put back.
    """
    enter_tree()
    if (branch := os.environ.get("HEADSTART_BRANCH")) and is_worker_clone():
        lineage.follow(branch)
    outcome = reconcile()
    get_run_logger().info(outcome.sentence)
    if outcome.change is None:
        return Completed(name="Unchanged", message=outcome.sentence)
    if outcome.is_refusal:
        tell(outcome)
        return Completed(name="Refused", message=outcome.sentence)
    return Completed(message=outcome.sentence)


@task(
    cache_policy=NO_CACHE,
    timeout_seconds=STEP_SECONDS,
    retries=RETRIES,
    retry_delay_seconds=BACKOFF,
    retry_jitter_factor=0.3,
    retry_condition_fn=may_pass,
)
def reconcile() -> "Outcome":
    """Alias and journal; the gate where they differ."""
    from headstart.params import load_params
    from headstart.registry import gate, promotion

    params = load_params(paths.PARAMS)
    settings = gate.GateSettings.of(params.register_.thresholds.model_dump(), params.gate.model_dump())
    return promotion.reconcile(
        params.register_.model, settings, lambda text: get_run_logger().info("%s", text)
    )


@task(cache_policy=NO_CACHE, timeout_seconds=STEP_SECONDS)
def tell(outcome: "Outcome") -> None:
    """An artifact on this run's page, and an event that an automation can send on."""
    change = outcome.change
    assert change is not None
    create_markdown_artifact(
        key="promotion-refused",
        markdown=f"## A promotion was refused\n\n{outcome.sentence}\n",
        description=f"Version {change.refused} was made champion and put back",
    )
    emit_event(
        EVENT,
        resource={"prefect.resource.id": f"headstart.version.{change.refused}"},
        payload={"sentence": outcome.sentence, "who": change.who, "champion": change.after},
    )


if __name__ == "__main__":
    check_champion()
