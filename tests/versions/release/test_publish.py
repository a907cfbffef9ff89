"""One sequence publishes, and a run without a version ends as FAILED, no matter who started it."""

import base64
import io
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from PIL import Image

from headstart.errors import TrackingError
from headstart.ground import paths
from headstart.params import load_params
from headstart.repository.new_files import NewFiles
from headstart.versions.registry import tracking
from headstart.versions.registry.versions import Registered
from headstart.versions.release import experiment, registration
from headstart.versions.release import publish as publishing
from headstart.versions.release.decision import Decision
from headstart.versions.serving.signature import signature

NEW = Registered("headstart", "1", (), "run", is_new=True, is_settled=False)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tracking.connect()


def only_run(client: MlflowClient) -> tuple[str, str, dict[str, str]]:
    [run] = client.search_runs([client.get_experiment_by_name("own").experiment_id])
    return str(run.info.run_id), str(run.info.status), dict(run.data.tags)


def test_a_run_without_a_version_is_failed_with_its_reason(client: MlflowClient) -> None:
    with pytest.raises(TrackingError, match="does not answer"), registration._run(client, "own", None):
        raise TrackingError("the stored model does not answer")
    run_id, status, tags = only_run(client)
    assert status == "FAILED"
    assert tags["headstart.failure"] == "TrackingError: the stored model does not answer"

    tracking.forget_failure(run_id)
    _, status, tags = only_run(client)
    assert status == "FINISHED"
    assert "headstart.failure" not in tags


def test_a_run_with_a_version_is_finished(client: MlflowClient) -> None:
    with registration._run(client, "own", None):
        pass
    assert only_run(client)[1] == "FINISHED"


def test_the_run_of_a_flow_is_left_to_the_flow(client: MlflowClient) -> None:
    opened = experiment.open_run("own", {})
    with registration._run(client, "own", opened) as given:
        assert given == opened
    assert only_run(client)[1] == "RUNNING"


def test_registration_names_what_it_does_not_record(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(publishing, "new_files", lambda: NewFiles((), ("flows/.env",)))
    monkeypatch.setattr(registration, "register", lambda *given, **named: NEW)
    publishing.register_model(load_params(tree / paths.PARAMS).register_, {}, None, said.append)
    assert said[0].startswith("not recorded")
    assert said[0].endswith(": flows/.env")


def test_a_head_that_dvc_linked_to_its_cache_is_stored_as_a_file(tmp_path: Path) -> None:
    cached, place = tmp_path / "cache" / "3a4b", tmp_path / "folder"
    head = tmp_path / "artifacts" / "head.safetensors"
    for folder in (cached.parent, head.parent, place, tmp_path / "stored"):
        folder.mkdir()
    cached.write_bytes(b"tensors")
    head.symlink_to(cached)
    with pytest.raises(MlflowException, match="outside the artifact directory"):  # as MLflow stores a model
        mlflow.artifacts.download_artifacts(str(head), dst_path=str(tmp_path / "stored"))
    found = registration._materialized(head, place)
    mlflow.artifacts.download_artifacts(str(found), dst_path=str(tmp_path / "stored"))
    assert (tmp_path / "stored" / head.name).read_bytes() == b"tensors"
    assert registration._materialized(cached, place) == cached


def test_a_version_has_an_example_and_is_not_loaded_for_it(client: MlflowClient, tmp_path: Path) -> None:
    code = tmp_path / "model.py"
    code.write_text(f"""
from pathlib import Path
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
class Own(PythonModel):
    def load_context(self, context):
        Path({str(tmp_path / "loaded")!r}).touch()
    def predict(self, context, model_input, params=None):
        return model_input
set_model(Own())
""")
    logged = registration._log_python_model(experiment.open_run("own", {}), python_model=str(code))
    assert not (tmp_path / "loaded").exists()
    folder = mlflow.artifacts.download_artifacts(logged.model_uri)
    stored = Model.load(folder)
    [image] = stored.load_input_example(folder)["image"]
    with Image.open(io.BytesIO(base64.b64decode(image))) as found:
        assert found.size == (64, 64)
    assert stored.signature == signature()


def test_each_step_is_wrapped_once_and_in_order(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    decision = Decision("passed", (), None, "figures")
    settled = Registered("headstart", "1", ("champion",), "run", is_new=True, is_settled=True)
    results = {"register_model": NEW, "judge_version": decision, "set_aliases": settled, "push_results": None}

    def wrap(function: object) -> object:
        name = function.__name__  # type: ignore[attr-defined]
        return lambda *arguments: (steps.append(name), results[name])[1]

    monkeypatch.setattr(publishing.tracking, "forget_failure", lambda run_id: None)
    params = load_params(tree / paths.PARAMS)
    judged_by, refs = params.gate, params.repository
    published = publishing.publish(params.register_, judged_by, refs, {}, print, run_id="run", step=wrap)  # type: ignore[arg-type]
    assert steps == ["push_results", "register_model", "judge_version", "set_aliases"]
    assert published.registered.aliases == ("champion",)
    assert published.decision is decision


def test_what_was_settled_before_is_not_judged_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    settled = Registered("headstart", "1", (), "run", is_new=False, is_settled=True)

    def wrap(function: object) -> object:
        name = function.__name__  # type: ignore[attr-defined]
        return lambda *arguments: (steps.append(name), settled)[1]

    monkeypatch.setattr(
        publishing.tracking, "forget_failure", lambda run_id: steps.append(f"forget {run_id}")
    )
    params = load_params(tree / paths.PARAMS)
    judged_by, refs = params.gate, params.repository
    published = publishing.publish(params.register_, judged_by, refs, {}, print, run_id="run", step=wrap)  # type: ignore[arg-type]
    assert steps == ["push_results", "register_model", "forget run"]
    assert published.decision is None
