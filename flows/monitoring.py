"""The monitoring flow: new images against the champion's own; drift is an event that others may act on.

The event `headstart.drift` names the model, and its payload holds the verdict in words: a trigger in
prefect.yaml may start a training, an automation may tell people.
"""

import os
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.training import AGAIN, STEP_SECONDS, alone_in_tree, in_newest
from headstart import paths
from headstart.tree import enter_tree

if TYPE_CHECKING:
    from headstart.monitoring.run import Monitored

EVENT = "headstart.drift"
NAMED = 10
STATES = {"no drift": "Completed", "drift": "Drift", "inconclusive": "Inconclusive"}


@flow(name="monitoring")
def watch(source: str | None = None, model: str | None = None) -> State[Any]:
    """Compare the images of a source with those of a version.

    Args:
        source: a folder or glob pattern; without it `monitor.source` of params.yaml.
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`; without it the champion.

    Returns:
        Completed, named Drift or Inconclusive where that was found, Skipped where no source is named.
    """
    enter_tree()
    with alone_in_tree():
        done: State[Any] = in_newest("flows.monitoring", compare)(source, model)
    return done


def compare(source: str | None, model: str | None) -> State[Any]:
    """The flow, by the code of the tree as it stands now."""
    from headstart.params import load_params

    params = load_params(paths.PARAMS)
    if source is None and params.monitor.source is None:
        return Completed(name="Skipped", message="monitor.source is null: there is nothing to look at")
    compared = look(
        [source or str(params.monitor.source)], model or f"models:/{params.register_.model}@champion"
    )
    publish(compared)
    found = compared.found
    get_run_logger().info(found.sentence())
    if found.verdict == "drift":
        tell(compared)
    return Completed(name=STATES[found.verdict], message=found.sentence())


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def look(sources: list[str], model: str) -> "Monitored":
    """The comparison, and its page in reports/."""
    from headstart.monitoring import run
    from headstart.params import load_params

    rules = run.rules_of(load_params(paths.PARAMS).monitor)
    compared = run.monitor(sources, model, rules, get_run_logger().info)
    compared.write(paths.MONITORING, None)
    return compared


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def publish(compared: "Monitored") -> None:
    """The verdict and every check, on this flow run's page."""
    create_markdown_artifact(
        key="monitoring-report",
        markdown=compared.as_markdown(),
        description="New images against those of the model",
    )


def tell(compared: "Monitored") -> None:
    """Emit the event: who listens decides what follows."""
    from headstart.registry import overview

    found = compared.found
    name, _, number = compared.model.removeprefix("models:/").rpartition("/")
    run_id = flow_run.get_id()
    emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"headstart.model.{name}",
            "prefect.resource.name": name,
            "headstart.version": compared.model,
        },
        related=[{"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.resource.role": "flow-run"}]
        if run_id
        else [],
        payload={
            "message": f"{compared.model}: {found.sentence()}",
            "link": overview.page_of(name, number),
            "source": compared.source,
            "alpha": found.alpha,
            "checks": {check.name: check.figure for check in found.drifted},
            "least_familiar": [each.path for each in found.unusual[:NAMED]],
        },
    )


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    watch()
