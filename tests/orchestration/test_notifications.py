"""The address of the webhook is a secret of Prefect's block, since whoever knows it can post there."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from headstart.orchestration import notifications

ADDRESS = "https://hooks.example.org/services/T1/hunter2"


def test_the_address_is_stored_as_a_secret_and_still_called(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Any] = []

    async def save(block: object, name: str, overwrite: bool) -> object:
        saved.append(block)
        return uuid4()

    async def automate(name: str, *given: object) -> str:
        return name

    monkeypatch.setattr(notifications.CustomWebhookNotificationBlock, "asave", save)
    monkeypatch.setattr(notifications, "_automate", automate)
    assert len(asyncio.run(notifications.notify(ADDRESS))) == 2
    [block] = saved
    assert "hunter2" not in repr(block)
    assert "hunter2" not in block.model_dump_json()
    assert block._build_request_args("body", "subject")["url"] == ADDRESS
