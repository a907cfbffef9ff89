"""Reports of a flow run: artifacts on its page."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.settings import get_current_settings

from headstart.errors import without_password
from headstart.orchestration.command import advice
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS

if TYPE_CHECKING:
    from headstart.versions.registry.versions import Registered
    from headstart.versions.release.decision import Decision

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@contextmanager
def failure_shown() -> Iterator[None]:
    """Context manager that shows an error in the block on the flow run's page, with advice."""
    try:
        yield
    except Exception as error:
        publish_failure(error)
        raise


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def publish_report(
    registered: "Registered", data: str, decision: "Decision | None", is_unchanged: bool
) -> None:
    """Publish the verdict, figures beside the champion's, mistakes and links on this flow run's page."""
    from headstart.versions.release import overview

    create_markdown_artifact(
        key="training-report",
        markdown=overview.as_markdown(
            registered, data, decision, is_unchanged, with_pictures=may_show_pictures()
        ),
        description=f"{registered.name} version {registered.version}: verdict, figures, mistakes and links",
    )


def may_show_pictures() -> bool:
    """Whether pictures may be sent to Prefect: its server is on this machine, or HEADSTART_PICTURES is 1."""
    host = urlsplit(get_current_settings().api.url or "http://127.0.0.1").hostname
    return host in LOOPBACK or os.environ.get("HEADSTART_PICTURES") == "1"


def publish_failure(error: Exception) -> None:
    """Publish an error and advice on this flow run's page; a failure to do so hides no other error."""
    kind = type(error).__name__
    lines = [line.replace("`", "'") for line in without_password(str(error)).splitlines() if line.strip()]
    said = "  \n".join(f"`{line}`" for line in lines)  # a block of code would not wrap on a telephone
    try:
        create_markdown_artifact(
            key="training-report",
            markdown=f"## Failed: {kind}\n\n{advice(error)}\n\n{said}\n",  # which may be many lines
            description=f"Why this run failed: {kind}",
        )
    except Exception as other:  # Prefect's own server may be gone
        get_run_logger().error("the report of this failure could not be published: %s", other)
