"""The training flow: every stage of dvc.yaml as a task, then publication in MLflow.

Run it with `headstart run`, or serve it as a deployment. It has no paths, loops or parameters of its own:
a stage is `dvc repro --single-item STAGE`, so `dvc repro` finds nothing to do afterwards.
"""

import os
import sys
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from headstart import repository
from headstart.cli.run_output import run_with_output
from headstart.host.owner import end_with_parent
from headstart.host.project import enter_tree
from headstart.orchestration.command import quieten
from headstart.orchestration.mlflow_run import recorded_run
from headstart.orchestration.new_images import bring_data
from headstart.orchestration.outcome import (
    emit_outcome,
    forget_outcome,
    judged_before,
    show_outcome,
    state_of,
)
from headstart.orchestration.publishing import publish_version, registered_before, verdict_before
from headstart.orchestration.pull_step import in_newest
from headstart.orchestration.reports import failure_shown, publish_report
from headstart.orchestration.stages import mark_cached, run_stages, start_from_earlier_head
from headstart.orchestration.tasks import alone_in_tree, log
from headstart.repository import worker_clone
from headstart.versions.release.run_name import Came


@flow(name="training")
def train_and_register(init_from: str | None = None) -> State[Any]:
    """Run every stage that is out of date, then register the results; other stages end as Cached.

    Args:
        init_from: an earlier head to start training from, such as `models:/headstart@champion`; by
            default, `train.init` in params.yaml decides.

    Returns:
        Completed, named Unchanged if there was nothing to do; Cancelled, named Rejected or Inconclusive, if
        the version did not pass the gate. The message names the version in the registry.
    """
    forget_outcome()
    enter_tree()
    quieten()
    if worker_clone.is_own():
        end_with_parent()
    with alone_in_tree():
        with failure_shown():
            run = in_newest("flows.training", train_in_tree)
        done: State[Any] = run(init_from)
        return done


def train_in_tree(init_from: str | None) -> State[Any]:
    """The flow itself, run with the code now in the tree."""
    with failure_shown():
        data = str(bring_data().result())
        is_clean = init_from is None and not repository.stale()
        if is_clean and (found := registered_before()) is not None:
            mark_cached()
            publish_report(found, data, None, is_unchanged=True)
            verdict = verdict_before(found)
            said = judged_before(found.sentence(), verdict)
            log(f"nothing changed: {said}")
            show_outcome(found.version, verdict, "unchanged")
            return state_of(found, None, verdict, said, "unchanged")
        with recorded_run() as run:
            if init_from is not None:
                start_from_earlier_head(init_from)
            mark_cached() if is_clean else run_stages(run)
            published = publish_version(run.id)
        registered, decision = published.registered, published.decision
        if decision is None:
            verdict = verdict_before(registered)
            said = judged_before(published.sentence(), verdict)
        else:  # nobody was notified yet
            verdict, said = decision.verdict, published.sentence()
            emit_outcome(registered, verdict, said)
        publish_report(registered, data, decision, is_unchanged=False)
        log(said)
        came: Came = "judged" if decision else "found"
        show_outcome(registered.version, verdict, came)  # last: what fails before is no outcome
        return state_of(registered, decision, verdict, said, came)


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    run_with_output(lambda: train_and_register(return_state=True), sys.argv[1:])
