"""Publishing as tasks: the same sequence as `headstart register`, with each step a task that is retried."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from headstart.ground import paths
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS, log

if TYPE_CHECKING:
    from headstart.versions.registry.versions import Registered
    from headstart.versions.release.publish import Published


def publish_version(run_id: str | None) -> "Published":
    """Push and register the project's results, judge the version and set its aliases."""
    from headstart.params import load_params
    from headstart.versions.release.publish import publish

    params = load_params(paths.PARAMS)
    record = params.model_dump(by_alias=True)
    judged_by, refs = params.gate, params.repository
    return publish(params.register_, judged_by, refs, record, log, run_id=run_id, step=_as_task)


def _as_task(function: Callable[..., Any]) -> Callable[..., Any]:
    wrapped: Callable[..., Any] = task(timeout_seconds=STEP_SECONDS, **AGAIN)(function)
    return wrapped


@task(cache_policy=NO_CACHE, timeout_seconds=STEP_SECONDS)
def registered_before() -> "Registered | None":
    """The version that holds the results in the tree; None if it must be made or completed."""
    from headstart.errors import TrackingError
    from headstart.params import load_params
    from headstart.versions.registry import versions

    try:
        return versions.registered(load_params(paths.PARAMS).register_.model)
    except TrackingError:  # the full run will report what is wrong
        return None


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def verdict_before(registered: "Registered") -> str:
    """The gate's verdict on a version that an earlier run judged."""
    from headstart.versions.registry import versions

    return versions.verdict_of(registered)
