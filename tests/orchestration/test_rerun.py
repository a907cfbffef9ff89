"""A training that is started again from its page shows no outcome of the time before."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Pending
from servers import prefect_server

from flows.training import train_and_register

pytestmark = pytest.mark.server


def test_a_run_that_fails_when_it_is_retried_does_not_keep_the_outcome_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no project, so that the flow fails
    with (
        prefect_server(tmp_path) as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
        get_client(sync_client=True) as client,
    ):
        made = client.create_flow_run(train_and_register, tags=["night", "rejected"])
        client.update_flow_run(made.id, name="version 7 did not pass (teal-cuckoo)")
        client.set_flow_run_state(made.id, Cancelled(name="Rejected"), force=True)
        client.set_flow_run_state(made.id, Pending(), force=True)
        run_flow(train_and_register, flow_run=client.read_flow_run(made.id), return_type="state")
        run = client.read_flow_run(made.id)
    assert run.state is not None
    assert run.state.is_failed()
    assert run.name == "teal-cuckoo"
    assert run.tags == ["night"]
