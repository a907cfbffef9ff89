"""Report a champion that is older than monitor.max_age_days: an artifact on the run's page, and an event."""

from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from headstart.ground import paths
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS

if TYPE_CHECKING:
    from headstart.versions.monitoring.age import Age

EVENT = "headstart.champion-old"


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def look_at_age() -> "Age | None":
    """The champion's age; None if `monitor.max_age_days` is null or there is no champion."""
    from headstart.params import load_params
    from headstart.versions.monitoring.age import age_of_champion

    params = load_params(paths.PARAMS)
    return age_of_champion(params.register_.model, params.monitor.max_age_days)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def report_age(age: "Age") -> None:
    """Publish the age on this flow run's page, and emit the event for automations."""
    from headstart.orchestration.model_events import page_of, resource_of

    link = page_of(age.model)
    create_markdown_artifact(
        key="champion-age",
        markdown=f"## The champion is old\n\n{age.sentence()}\n\n[The version]({link})\n",
        description=f"Champion of {int(age.days)} days, at most {age.allowed}",
    )
    emit_event(
        event=EVENT,
        resource=resource_of(age.model),
        payload={
            "message": age.sentence(),
            "link": link,
            "days": round(age.days, 2),
            "max_age_days": age.allowed,
        },
    )
