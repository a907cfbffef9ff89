"""Update a worker's clone to the newest commit and let a flow that began with older code use the new code."""

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
    """Update a worker's clone to the newest commit; return the function as defined by the module there."""
    return getattr(newest(module), function.__name__) if bring_to_newest() else function


def bring_to_newest() -> bool:
    """Update a worker's clone to the newest commit of its branch; return whether the commit changed."""
    branch = os.environ.get("HEADSTART_BRANCH")
    if not branch or not worker_clone.is_own():
        return False
    before = repository.current_commit().commit
    commit = follow_branch(branch)
    get_run_logger().info("at commit %s of %s", commit[:12], branch)
    return commit != before


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def follow_branch(branch: str) -> str:
    """Update a worker's clone to the newest commit of a branch, with its data; return that commit."""
    return repository.follow(branch)


def newest(name: str) -> ModuleType:
    """Import one of our modules anew, after the tree was updated to another commit.

    Modules imported before belong to the earlier commit and must not be mixed with files of the new one.

    Args:
        name: a module name, such as `flows.training`.
    """
    for loaded in [each for each in sys.modules if each.partition(".")[0] in OURS]:
        del sys.modules[loaded]
    importlib.invalidate_caches()
    return importlib.import_module(name)
