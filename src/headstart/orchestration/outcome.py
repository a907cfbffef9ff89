"""State, name and tags of a training run, so that lists in Prefect show what came of it.

A version that passed is Completed and green. One that did not is of the type CANCELLED, named Rejected or
Inconclusive: grey with a crossed-out badge in every list and chart, since a state's colour follows its type.
FAILED would be red like a broken stage: it counts among the failures of a deployment, it is retried if a flow
has retries, and automations for failures report it. CRASHED means that the process is gone, and PAUSED is not
final, so that it would hold the deployment's only slot. A CANCELLED run ends the same way as a completed one:
nothing is retried and the slot is free.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from headstart.versions.release.run_name import WORDS, Came, own_name, run_name

if TYPE_CHECKING:
    from headstart.versions.registry.versions import Registered
    from headstart.versions.release.decision import Decision

STATES = {"failed": "Rejected", "inconclusive": "Inconclusive"}
TAGS = {"passed": "passed", "failed": "rejected", "inconclusive": "inconclusive"}
EVENTS = {
    "passed": "headstart.challenger",
    "failed": "headstart.rejected",
    "inconclusive": "headstart.inconclusive",
}


def state_of(
    registered: "Registered", decision: "Decision | None", verdict: str, message: str, came: Came
) -> State[Any]:
    """The final state of a run that registered a version or found it registered.

    Its data is the result for programs, as docs/json.md describes it for `headstart run`.

    Args:
        decision: of the gate; None if the version was judged before.
        verdict: of the gate: `passed`, `failed` or `inconclusive`.
        message: names the version, and the reason if it did not pass.
    """
    result = {
        "state": came if came == "unchanged" else TAGS[verdict],
        "verdict": verdict,
        "sentence": message,
        **asdict(registered),
        "decision": decision.as_dict() if decision else None,
    }
    if came == "unchanged":
        return Completed(name="Unchanged", message=message, data=result)
    if verdict == "passed":
        return Completed(message=message, data=result)
    return Cancelled(name=STATES[verdict], message=message, data=result)


def judged_before(sentence: str, verdict: str) -> str:
    """The message of a run that found a version judged: the version's own sentence and the verdict."""
    return f"{sentence}; judged before: it {WORDS[verdict]}"


def forget_outcome() -> None:
    """Give a run that starts again the name it had at first, and remove the tag of its former outcome.

    A run that is retried on its page would show that outcome until it ends, and for good if it fails.
    """
    name, tags = str(flow_run.get_name()), flow_run.get_tags()
    if own_name(name) != name or not set(TAGS.values()).isdisjoint(tags):
        _update(own_name(name), None)


def show_outcome(number: str, verdict: str, came: Came) -> None:
    """Rename the flow run, such as `version 7 did not pass (teal-cuckoo)`, and tag it with the verdict.

    The name it had stays in parentheses, since MLflow's run is named by it too. A run that judged nothing
    gets no tag.
    """
    if flow_run.get_id() is not None:
        name = run_name(number, verdict, str(flow_run.get_name()), came)
        _update(name, TAGS[verdict] if came == "judged" else None)


def _update(name: str, tag: str | None) -> None:
    """Rename the flow run, and replace the tag of an outcome by another; None removes it."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.get_id())  # type: ignore[arg-type]
        kept = [each for each in run.tags if each not in TAGS.values()]
        client.update_flow_run(run.id, name=name, tags=kept if tag is None else [*kept, tag])


def emit_outcome(registered: "Registered", verdict: str, message: str) -> None:
    """Emit an event for automations: a new version waits for a promotion, or did not pass.

    Args:
        message: names the version and the reason.
    """
    from headstart.versions.release import overview

    emit_event(
        event=EVENTS[verdict],
        resource={
            "prefect.resource.id": f"headstart.version.{registered.name}.{registered.version}",
            "prefect.resource.name": f"{registered.name} version {registered.version}",
        },
        payload={"message": message, "link": overview.page_of(registered.name, registered.version)},
    )
