"""The monitoring flow: compare new images with the champion's own; an event reports drift or an old champion.

The event `headstart.drift` names the model, and its payload holds the verdict in words: a trigger in
prefect.yaml can start a training, or an automation can notify people.
"""

import os
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headstart.errors import NothingKept
from headstart.ground import paths
from headstart.host.project import enter_tree
from headstart.orchestration.accuracy import look_at_accuracy, report_accuracy
from headstart.orchestration.champion_age import look_at_age, report_age
from headstart.orchestration.command import quieten, run_as_command
from headstart.orchestration.drift import emit_drift, new_images, publish_drift
from headstart.orchestration.pull_step import in_newest
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS, alone_in_tree, load_params_with_log

if TYPE_CHECKING:
    from headstart.versions.monitoring.images import Images
    from headstart.versions.monitoring.run import Monitored

STATES = {"no drift": "Completed", "drift": "Drift", "inconclusive": "Inconclusive"}


@flow(name="monitoring")
def watch(source: str | None = None, model: str | None = None) -> State[Any]:
    """Compare the images of a source with those of a version.

    Args:
        source: a folder or glob pattern; by default `monitor.source` of params.yaml, or kept requests.
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`; the champion by default.

    Returns:
        Completed, named Drift or Inconclusive if that is the verdict, or Skipped without any images. The
        message also gives the champion's age if `monitor.max_age_days` is set, and the accuracy of kept
        answers.
    """
    enter_tree()
    quieten()
    with alone_in_tree():
        done: State[Any] = in_newest("flows.monitoring", compare)(source, model)
    return done


def compare(source: str | None, model: str | None) -> State[Any]:
    """The flow itself, run with the code now in the tree."""
    params = load_params_with_log()
    age = look_at_age() if model is None else None
    if age is not None and age.is_old:
        report_age(age)
        get_run_logger().warning(age.sentence())
    accuracy = look_at_accuracy() if model is None else None
    if accuracy is not None:
        report_accuracy(accuracy)
    more = "".join(f"; {each.sentence()}" for each in (age, accuracy) if each is not None)
    try:
        images = new_images(source, params)
    except NothingKept as error:
        return Completed(name="Skipped", message=f"{error}{more}")
    compared = look(images, model or f"models:/{params.register_.model}@champion")
    publish_drift(compared)
    found = compared.found
    get_run_logger().info(found.sentence())
    if found.verdict == "drift":
        emit_drift(compared)
    return Completed(name=STATES[found.verdict], message=f"{found.sentence()}{more}")


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def look(images: "Images", model: str) -> "Monitored":
    """Compare the images, and write the page to reports/."""
    from headstart.params import load_params
    from headstart.versions.monitoring import run

    settings = load_params(paths.PARAMS).monitor
    compared = run.monitor(images, model, settings, get_run_logger().info)
    compared.write(paths.MONITORING)
    return compared


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    run_as_command(lambda: watch(return_state=True))
