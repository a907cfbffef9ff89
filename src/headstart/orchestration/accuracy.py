"""Report accuracy in production: an artifact on the run's page, and an event once per cause of an alarm."""

from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from headstart.ground import paths
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS

if TYPE_CHECKING:
    from headstart.versions.monitoring.feedback.alarms import Alarm
    from headstart.versions.monitoring.feedback.report import Feedback

EVENT = "headstart.accuracy"


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def look_at_accuracy() -> "Feedback | None":
    """The accuracy of kept answers, with its page in reports/; None if nothing is kept."""
    from prefect import get_run_logger

    from headstart.ground.files import write_text
    from headstart.params import load_params
    from headstart.versions.monitoring.feedback import page, run
    from headstart.versions.serving.kept.database import FILE

    params = load_params(paths.PARAMS)
    folder = params.serve.place
    if not (folder / FILE).exists():
        return None
    _, _, found = run.from_store(folder, None, params.monitor, get_run_logger().info)
    write_text(paths.FEEDBACK, page.as_html(found))
    return found


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def report_accuracy(found: "Feedback") -> None:
    """Publish the accuracy on this flow run's page, and emit an event for each alarm that is new."""
    from headstart.params import load_params
    from headstart.versions.monitoring.feedback import page
    from headstart.versions.serving.kept.store import KeptStore

    create_markdown_artifact(
        key="accuracy", markdown=page.as_markdown(found), description="Accuracy in production"
    )
    with KeptStore(load_params(paths.PARAMS).serve.place) as store:
        for alarm in found.alarms:
            if not store.was_reported(alarm.cause):
                _emit(alarm)
                store.add_report(alarm.cause)


def _emit(alarm: "Alarm") -> None:
    from headstart.orchestration.model_events import page_of, resource_of

    emit_event(
        event=EVENT,
        resource=resource_of(alarm.version),
        payload={"message": alarm.sentence(), "link": page_of(alarm.version), **alarm.to_dict()},
    )
