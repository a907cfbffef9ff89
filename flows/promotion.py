"""The promotion flow: judge an alias that was changed by hand, and record the change or put it back."""

from typing import TYPE_CHECKING

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from headstart.host.project import enter_tree
from headstart.orchestration.command import quieten, run_as_command
from headstart.orchestration.pull_step import in_newest
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS, alone_in_tree, load_params_with_log, log

if TYPE_CHECKING:
    from headstart.versions.release.promotion import Outcome

EVENT = "headstart.promotion-refused"


@flow(name="promotion")
def check_champion() -> State[None]:
    """Compare the champion alias with the journal, and judge any difference.

    Returns:
        Completed, named Unchanged if they agree and Refused if the change was put back.
    """
    enter_tree()
    quieten()
    with alone_in_tree():
        done: State[None] = in_newest("flows.promotion", judge)()
    return done


def judge() -> State[None]:
    """The flow itself, run with the code now in the tree."""
    outcome = reconcile()
    get_run_logger().info(outcome.sentence)
    if outcome.change is None:
        return Completed(name="Unchanged", message=outcome.sentence)
    if outcome.is_refusal:
        tell(outcome)
        return Completed(name="Refused", message=outcome.sentence)
    return Completed(message=outcome.sentence)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def reconcile() -> "Outcome":
    """Compare alias and journal, and run the gate if they differ."""
    from headstart.versions.release import promotion

    params = load_params_with_log()
    return promotion.reconcile(params.register_.model, params.requirements, log)


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def tell(outcome: "Outcome") -> None:
    """Publish a refusal: an artifact on this run's page, and an event that an automation can forward."""
    from headstart.versions.release import overview

    change = outcome.change
    assert change is not None
    assert change.refused is not None
    link = overview.page_of(outcome.name, change.refused)
    create_markdown_artifact(
        key="promotion-refused",
        markdown=f"## A promotion was refused\n\n{outcome.sentence}\n\n[The version]({link})\n",
        description=f"Version {change.refused} was made champion and put back",
    )
    emit_event(
        EVENT,
        resource={
            "prefect.resource.id": f"headstart.version.{outcome.name}.{change.refused}",
            "prefect.resource.name": f"{outcome.name} version {change.refused}",
        },
        payload={"message": outcome.sentence, "link": link, "who": change.who, "champion": change.after},
    )


if __name__ == "__main__":
    run_as_command(lambda: check_champion(return_state=True))
