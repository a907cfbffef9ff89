"""Report drift to people and automations: an artifact on the flow run's page, and an event."""

from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.runtime import flow_run

from headstart.orchestration.tasks import AGAIN, STEP_SECONDS

if TYPE_CHECKING:
    from headstart.params import Params
    from headstart.versions.monitoring.images import Images
    from headstart.versions.monitoring.run import Monitored

EVENT = "headstart.drift"
NAMED = 10


def new_images(source: str | None, params: "Params") -> "Images":
    """The images of a source, of `monitor.source`, or those that servers kept.

    Raises:
        DataError: there are none.
    """
    from headstart.versions.monitoring.images import images_of

    monitor = params.monitor
    return images_of([source] if source else [], monitor.source, params.serve.place, monitor.kept_days)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def publish_drift(compared: "Monitored") -> None:
    """Publish the verdict and every check on this flow run's page."""
    create_markdown_artifact(
        key="monitoring-report",
        markdown=compared.as_markdown(),
        description="New images against those of the model",
    )


def emit_drift(compared: "Monitored") -> None:
    """Emit the drift event for automations to react to."""
    from headstart.orchestration.model_events import page_of, resource_of

    found = compared.found
    run_id = flow_run.get_id()
    emit_event(
        event=EVENT,
        resource=resource_of(compared.model),
        related=[{"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.resource.role": "flow-run"}]
        if run_id
        else [],
        payload={
            "message": f"{compared.model}: {found.sentence()}",
            "link": page_of(compared.model),
            "source": compared.source,
            "alpha": found.alpha,
            "checks": {check.name: check.figure for check in found.drifted},
            "least_familiar": [each.path for each in found.unusual[:NAMED]],
        },
    )
