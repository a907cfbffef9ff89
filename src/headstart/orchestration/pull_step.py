"""A worker's clone is brought to the newest commit; a flow that began with older code goes on with that."""

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from prefect import get_run_logger, task

from headstart import repository
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS
from headstart.repository import worker_clone

OURS = ("headstart", "flows")


def in_newest(module: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Bring a worker's clone to the newest commit; the function of this module as it is there."""
    return getattr(newest(module), function.__name__) if bring_to_newest() else function


def bring_to_newest() -> bool:
    """Bring a worker's clone to the newest commit of its branch; whether it stood at another one."""
    branch = os.environ.get("HEADSTART_BRANCH")
    if not branch or not worker_clone.is_own():
        return False
    before = repository.current_commit().commit
    commit = follow_branch(branch)
    get_run_logger().info("at commit %s of %s", commit[:12], branch)
    return commit != before


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def follow_branch(branch: str) -> str:
    """Bring a worker's clone to the newest commit of a branch, with its data."""
    return repository.follow(branch)


def newest(name: str) -> ModuleType:
    """A module of ours as it is in the tree now, after the tree was brought to another commit.

    What was imported before is of the commit that the tree had then: it must not meet files of another one.

    Args:
        name: such as `flows.training`.
    """
    for loaded in [each for each in sys.modules if each.partition(".")[0] in OURS]:
        del sys.modules[loaded]
    importlib.invalidate_caches()
    return importlib.import_module(name)
