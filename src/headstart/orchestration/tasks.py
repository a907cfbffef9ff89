"""Options for the tasks of all flows: what is retried, and how long a step may take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.tasks import exponential_backoff

from headstart.errors import UnreachableError
from headstart.ground import paths
from headstart.host.exclusive import acquire

if TYPE_CHECKING:
    from headstart.params import Params

RETRIES = int(os.environ.get("HEADSTART_RETRIES", "0"))  # of transient failures, in unattended runs
RETRY_SECONDS = float(os.environ.get("HEADSTART_RETRY_SECONDS", "30"))
STAGE_SECONDS = float(os.environ.get("HEADSTART_STAGE_SECONDS", 24 * 3600))
STEP_SECONDS = 3600.0


def may_pass(task: object, run: object, state: State[Any]) -> bool:
    """Whether a failure is transient: a server or remote that does not answer, and nothing else."""
    try:
        state.result()
    except UnreachableError:
        return True
    except BaseException:
        return False
    return False


AGAIN: dict[str, Any] = {  # options of tasks that talk to a server or remote
    "cache_policy": NO_CACHE,
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(RETRY_SECONDS) if RETRIES else None,
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": may_pass,
}


def log(text: str) -> None:
    """Write a line to the flow run's log."""
    get_run_logger().info("%s", text)


def load_params_with_log() -> "Params":
    """params.yaml; a warning in the flow run's log names the keys whose defaults are used."""
    from headstart.params import load_params, note_on_defaults

    params = load_params(paths.PARAMS)
    if note := note_on_defaults(paths.PARAMS, params):
        get_run_logger().warning("%s", note)
    return params


@contextmanager
def alone_in_tree() -> Iterator[None]:
    """Allow one flow at a time per project; others wait. If a flow is killed, its lock is released."""
    lock = acquire(
        FileLock(".dvc/tmp/headstart-flow.lock"),
        lambda: get_run_logger().info("another flow is running in this project: waiting for it to end"),
    )
    try:
        yield
    finally:
        lock.release()
