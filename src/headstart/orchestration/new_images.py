"""Bring the images of `data.source` into `data/`: version them, keep them under a ref and push them."""

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headstart import repository
from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def bring_data() -> State[str]:
    """Take over new, changed and removed images from `data.source`, then version and push them.

    Returns:
        A state; its data describes in words where the images are from.
    """
    from headstart.params import load_params

    settings = load_params(paths.PARAMS).data
    if settings.source is None:
        said = "as listed in data.dvc (`data.source` is null)"
        return Completed(name="Skipped", message=said, data=said)
    from headstart.sources.ingestion import bring

    brought = bring(settings.source, paths.DATA, settings.settle_seconds, settings.max_removed)
    get_run_logger().info("%s: %s", settings.source, brought.sentence())
    repository.add(paths.DATA)  # each time: an earlier try may have ended between the two
    keep_data()
    return Completed(message=brought.sentence(), data=f"{brought.sentence()}, from {settings.source}")


def keep_data() -> None:
    """Keep data.dvc and dvc.lock under `refs/data/`, here and on the DVC and git remotes."""
    ref = repository.keep_data(repository.data_version())
    if repository.is_sent(ref):
        return
    repository.push_data()
    try:
        repository.send_data(ref)
    except HeadstartError as error:
        get_run_logger().error("%s in this clone alone until the next run: %s", ref, error)
