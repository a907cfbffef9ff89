"""Bring the images of `data.source` into `data/`, version and push them, and keep them under a ref."""

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headstart import repository
from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.orchestration.tasks import AGAIN, STEP_SECONDS, load_params_with_log
from headstart.repository.settings import Repository


@task(timeout_seconds=STEP_SECONDS, **AGAIN)
def bring_data() -> State[str]:
    """Take over new, changed and removed images from `data.source`, then version and push them.

    Returns:
        A state; its data describes in words where the images are from.
    """
    params = load_params_with_log()
    settings = params.data
    if settings.source is None:
        said = "as listed in data.dvc (`data.source` is null)"
        return Completed(name="Skipped", message=said, data=said)
    from headstart.sources.ingestion import bring

    brought = bring(settings.source, paths.DATA, settings.settle_seconds, settings.max_removed)
    get_run_logger().info("%s: %s", settings.source, brought.sentence())
    repository.add(paths.DATA)  # each time: an earlier try may have ended between the two
    keep_data(params.repository)
    return Completed(message=brought.sentence(), data=f"{brought.sentence()}, from {settings.source}")


def keep_data(settings: Repository) -> None:
    """Keep data.dvc and dvc.lock under `refs/data/`, push the data, and send the ref if that is set."""
    ref = repository.keep_data(repository.data_version())
    if not repository.is_stored(ref):
        repository.push_data()
        repository.mark_stored(ref)
    if not settings.sends_refs or repository.is_sent(ref):
        return
    try:
        repository.send_data(ref)
    except HeadstartError as error:
        get_run_logger().error("%s in this clone alone until the next run: %s", ref, error)
