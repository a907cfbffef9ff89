"""The training flow with MLflow on SQLite."""

import json
import re
from pathlib import Path

import mlflow
import pytest
from documents import documented
from mlflow.entities import Run
from projects import edit_params, headstart, repro, result_of, run
from registries import client_of, uri_of, versions_of

pytestmark = pytest.mark.server


def runs(root: Path) -> list[Run]:
    """All runs, newest first."""
    experiment = client_of(root).get_experiment_by_name("headstart")
    assert experiment is not None
    return list(client_of(root).search_runs([experiment.experiment_id]))


@pytest.fixture(scope="module")
def trained(common_repository: Path) -> Path:
    """A project with a git remote whose first version the flow made."""
    root = common_repository
    run(root.parent, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    run(root, "git", "push", "--quiet", "../origin", "HEAD:refs/heads/theirs")
    run(root, "git", "remote", "add", "origin", "../origin")  # whose branches this clone has not fetched
    before = run(root, "git", "ls-remote", "origin").stdout
    out = headstart(root, "run")
    assert "headstart version 1 registered (alias: challenger, champion)" in out
    last = "\n".join(out.splitlines()[-5:])
    assert re.search(r"kept in this clone alone. `git push origin refs/runs/\w{32}` sends", last), out
    assert run(root, "git", "ls-remote", "origin").stdout == before
    return root


def test_the_flow_leaves_what_dvc_repro_would_make(trained: Path) -> None:
    assert "Data and pipelines are up to date" in repro(trained)
    _check_record(trained)


def test_a_second_run_finds_nothing_to_do(trained: Path) -> None:
    for sends in (True, False):  # no result depends on whether refs are sent
        edit_params(trained, **{"repository.push_refs": sends})
        out = headstart(trained, "run")
        assert "version 1 was registered before" in out
        assert "Running stage" not in out
        assert versions_of(trained) == ["1"]


def test_the_result_for_programs_is_one_document(trained: Path) -> None:
    found = result_of(trained, "run")
    assert set(found) == documented("run")
    assert (found["state"], found["verdict"], found["version"]) == ("unchanged", "passed", "1")
    assert (found["name"], found["aliases"]) == ("headstart", ["challenger", "champion"])
    assert (found["decision"], found["exit_status"]) == (None, 0)
    assert found["metrics"] == result_of(trained, "show")["metrics"]


@pytest.fixture(scope="module")
def swept(trained: Path) -> Path:
    """The project after a second version, a sweep, whose stages `dvc repro` ran."""
    edit_params(trained, **{"train.trials": [{"lr": 0.03}, {"lr": 0.01}, {"lr": 0.02}]})
    repro(trained)
    out = headstart(trained, "run")
    assert "Running stage" not in out
    assert "version 2 registered (alias: challenger)" in out
    return trained


def test_results_of_dvc_repro_are_registered_once(swept: Path) -> None:
    assert "version 2 was registered before" in headstart(swept, "register")
    aliases = client_of(swept).get_registered_model("headstart").aliases
    assert {name: str(number) for name, number in aliases.items()} == {"champion": "1", "challenger": "2"}
    assert (swept / "reports" / "data_docs" / "index.html").exists()


def test_each_trial_of_a_sweep_is_a_run(swept: Path) -> None:
    trials = [run for run in runs(swept) if "mlflow.parentRunId" in run.data.tags]
    assert sorted(run.data.params["lr"] for run in trials) == ["0.01", "0.02", "0.03"]
    assert all(run.data.metrics["val_loss"] > 0 and run.info.status == "FINISHED" for run in trials)


def test_versions_predict_are_shown_and_begun_from(swept: Path) -> None:
    predicted = headstart(swept, "predict", "--model", "models:/headstart@champion", "data/dark")
    assert "model: models:/headstart/1, head " in predicted
    assert "data/dark/000.png  dark" in predicted
    shown = headstart(swept, "show")
    assert "models:/headstart/2 (challenger)" in shown
    assert "random" in shown
    said = headstart(swept, "init-from", "models:/headstart@challenger")
    assert "of models:/headstart/2 (dark, light)" in said


def test_a_version_that_does_not_pass_is_no_success(swept: Path) -> None:
    edit_params(swept, **{"train.trials": None, "train.init": None, "train.lr": 1e-9, "train.epochs": 1})
    edit_params(swept, **{"register.thresholds.accuracy": 1.0})
    out = headstart(swept, "run", status=4)
    number = re.search(r"version (\d+) registered \(alias: none\); FAIL: ", out)
    assert number
    assert "Rejected('" in out
    assert "type=CANCELLED" in out
    assert "Traceback" not in out
    edit_params(swept, **{"train.lr": 2e-9})
    found = result_of(swept, "run", status=4)
    assert (found["state"], found["exit_status"]) == ("rejected", 4)
    assert found["decision"]["verdict"] == "failed"
    number = re.search(r"version (\d+) registered", found["sentence"])
    assert number
    assert f"version {number[1]} was registered before" in headstart(swept, "run")


def _check_record(root: Path) -> None:
    [done] = runs(root)
    metrics = json.loads((root / "reports/metrics.json").read_text())
    assert done.info.status == "FINISHED"
    assert done.data.metrics["test/accuracy"] == metrics["accuracy"]
    assert done.data.params["train.lr"] == "0.05"
    assert done.data.tags["mlflow.source.git.commit"] == run(root, "git", "rev-parse", "HEAD").stdout.strip()
    assert done.data.tags["headstart.flow_run"]
    assert [entry.dataset.name for entry in done.inputs.dataset_inputs] == ["data"]
    history = client_of(root).get_metric_history(done.info.run_id, "epoch/val_loss")
    assert [point.step for point in history] == list(range(1, len(history) + 1))
    plots = {
        Path(file.path).name for file in client_of(root).list_artifacts(done.info.run_id, "reports/plots")
    }
    assert plots == {"calibration.png", "confusion.png", "history.png", "roc.png"}
    assert done.data.tags["mlflow.note.content"].startswith("**Test accuracy ")
    experiment = client_of(root).get_experiment(done.info.experiment_id)
    assert "**Model metrics**" in experiment.tags["mlflow.note.content"]
    record = {file.path for file in client_of(root).list_artifacts(done.info.run_id, "record")}
    assert {
        "record/dvc.lock",
        "record/params.yaml",
        "record/settings.json",
        "record/shared.json",
        "record/data.dvc",
    } <= record
    mlflow.set_tracking_uri(uri_of(root))
    shared = json.loads(mlflow.artifacts.load_text(f"runs:/{done.info.run_id}/record/shared.json"))
    for name in ("requirements.lock", "commit.bundle"):
        kept = client_of(root).list_artifacts(shared[name]["run_id"])
        assert [file.path for file in kept] == [name]
    version = client_of(root).get_model_version("headstart", "1")
    assert version.tags["backbone"] == "random"
    assert version.description.startswith("PASS: accuracy ")
    assert "Backbone weights: random" in version.description


def test_a_failed_stage_fails_the_flow_and_its_run_and_registers_nothing(repository: Path) -> None:
    edit_params(repository, **{"backbone.weights": "gone.pth", "backbone.sha256": "0" * 64})
    said = headstart(repository, "run", status=1)
    assert "there is no file gone.pth" in said
    assert "Finished in state Failed" in said
    [failed] = runs(repository)
    assert failed.info.status == "FAILED"
    assert "there is no file gone.pth" in failed.data.tags["headstart.failure"]
    assert versions_of(repository) == []
    ref = f"refs/runs/{failed.info.run_id}"
    assert failed.data.tags["headstart.ref"] == ref
    assert "weights: gone.pth" in run(repository, "git", "show", f"{ref}:params.yaml").stdout
    record = {file.path for file in client_of(repository).list_artifacts(failed.info.run_id, "record")}
    assert {"record/params.yaml", "record/data.dvc"} <= record


def test_without_mlflow_the_model_is_made_and_registered_later(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "MLflow does not answer at http://127.0.0.1:9" in headstart(repository, "run", status=1)
    assert (repository / "artifacts/head.safetensors").exists()
    assert result_of(repository, "run", status=1) is None
    assert "MLflow does not answer" in headstart(repository, "register", status=1)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "version 1 registered" in headstart(repository, "register")
    assert [done.info.status for done in runs(repository)] == ["FINISHED"]


def test_results_that_are_out_of_date_are_not_registered(repository: Path) -> None:
    repro(repository)
    edit_params(repository, **{"train.lr": 0.01})
    assert "not up to date: train" in headstart(repository, "register", status=1)
