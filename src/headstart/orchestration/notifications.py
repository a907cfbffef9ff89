"""Notify people: one Prefect automation for failed runs, and one for anything that needs a person.

`headstart services start` runs this if HEADSTART_NOTIFY names a webhook, such as that of a Slack channel.
"""

import asyncio
import os
from uuid import UUID

from prefect.automations import Automation
from prefect.blocks.fields import SecretDict
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from headstart.errors import ParamsError
from headstart.orchestration.outcome import EVENTS

BLOCK = "headstart-notify"
FLOWS = ["training", "scoring", "monitoring", "promotion"]  # training also reports a stage run elsewhere
FAILED = {"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}
NEWS = {
    *EVENTS.values(),
    *("headstart.promotion-refused", "headstart.drift", "headstart.champion-old", "headstart.accuracy"),
}
ABOUT_FAILURE = "{{ flow.name }} run {{ flow_run.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}"
ABOUT_NEWS = "{{ event.payload.message }}\n{{ event.payload.link }}"


async def notify(address: str) -> list[str]:
    """Create the automations that notify a webhook, with JSON of `text`, `subject` and `body`.

    They are updated at each call, so that a new address replaces the old one.

    Returns:
        The names of the automations.

    Raises:
        ParamsError: the address is not an http(s) URL.
    """
    if not address.startswith(("https://", "http://")):
        raise ParamsError(
            f"HEADSTART_NOTIFY: expected the http(s) address of a webhook, found {address.split(':')[0]!r}; "
            "for e-mail create an automation on Prefect's Automations page"
        )
    told = {"text": "{{subject}}\n{{body}}", "subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock(
        name="Headstart",
        url="{{address}}",  # the server stores secrets encrypted, and shows them to nobody
        secrets=SecretDict({"address": address}),
        json_data=told,
        headers=None,
        cookies=None,
    )
    receiver = await block.asave(BLOCK, overwrite=True)
    failures = SendNotification(
        block_document_id=receiver,
        subject="Headstart: {{ flow.name }} {{ flow_run.state.name }}",
        body=ABOUT_FAILURE,
    )
    news = SendNotification(
        block_document_id=receiver, subject="Headstart: {{ event.event }}", body=ABOUT_NEWS
    )
    by_flow: dict[str, str | list[str]] = {
        "prefect.resource.role": "flow",
        "prefect.resource.name": FLOWS,
    }
    return [
        await _automate("Headstart: a run failed", FAILED, by_flow, failures),
        await _automate("Headstart: something waits for you", NEWS, {}, news),
    ]


async def _automate(
    name: str, events: set[str], related: dict[str, str | list[str]], action: SendNotification
) -> str:
    trigger = EventTrigger(
        expect=events,
        match_related=ResourceSpecification(related),
        posture=Posture.Reactive,
        threshold=1,
        for_each={"prefect.resource.id"},
    )
    wanted = Automation(name=name, description="Made by Headstart.", trigger=trigger, actions=[action])
    try:
        wanted.id = await _id_of(name)
    except ValueError:  # no automation has this name yet
        await wanted.acreate()
    else:
        await wanted.aupdate()
    return name


async def _id_of(name: str) -> UUID | None:
    return (await Automation.aread(name=name)).id


if __name__ == "__main__":
    print("notifications: " + ", ".join(asyncio.run(notify(os.environ["HEADSTART_NOTIFY"]))))
