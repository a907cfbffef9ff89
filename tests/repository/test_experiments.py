"""DVC's experiments: each trains with its own parameters, beside the tree or in it, and all are compared."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from projects import GIT, commit, dvc, edit_params, repro, run

pytestmark = pytest.mark.slow
SECONDS = 240


@pytest.fixture(scope="module")
def tried(common_repository: Path) -> Path:
    """A project with results, one experiment that was run in the tree and reset, and one run apart."""
    root = common_repository
    edit_params(root, **{"train.epochs": 3})
    repro(root)
    commit(root)
    dvc(root, "exp", "run", "--set-param", "train.lr=0.02", "--name", "here")
    for command in ("params", "metrics", "plots"):
        (root / f"{command}.json").write_text(dvc(root, command, "diff", "--json"))
    run(root, "git", "checkout", "--quiet", "--", ".")
    dvc(root, "checkout")
    dvc(root, "exp", "run", "--temp", "--set-param", "train.lr=0.01", "--name", "apart")
    return root


def shown(root: Path) -> dict[str, dict[str, Any]]:
    """Data of each experiment by its name, as the extensions of editors read it."""
    listed = json.loads(dvc(root, "exp", "show", "--json"))
    [head] = [each for each in listed if each["rev"] != "workspace"]
    return {each["revs"][0]["name"]: each["revs"][0]["data"] for each in head["experiments"] or []}


def rate(data: dict[str, Any]) -> float:
    return float(data["params"]["params.yaml"]["data"]["train"]["lr"])


def test_experiments_are_listed_with_parameters_and_metrics(tried: Path) -> None:
    found = shown(tried)
    assert {name: rate(data) for name, data in found.items()} == {"here": 0.02, "apart": 0.01}
    for data in found.values():
        assert 0 <= data["metrics"]["reports/metrics.json"]["data"]["accuracy"] <= 1
    assert run(tried, "git", "status", "--short", "--untracked-files=no").stdout == ""


def test_differences_to_the_last_commit_are_those_of_the_experiment(tried: Path) -> None:
    params, metrics, plots = (
        json.loads((tried / f"{name}.json").read_text()) for name in ("params", "metrics", "plots")
    )
    assert list(params) == ["params.yaml"]
    assert set(params["params.yaml"]) == {"train.lr"}
    assert "log_loss" in metrics["reports/metrics.json"]
    assert "reports/history.csv" in str(plots)


def test_an_experiment_that_is_applied_brings_its_head(tried: Path) -> None:
    before = (tried / "artifacts/head.safetensors").read_bytes()
    dvc(tried, "exp", "apply", "apart")
    assert (tried / "artifacts/head.safetensors").read_bytes() != before
    assert "train.lr" in dvc(tried, "params", "diff")
    assert "up to date" in dvc(tried, "status")
    run(tried, "git", "checkout", "--quiet", "--", ".")
    dvc(tried, "checkout")
    assert (tried / "artifacts/head.safetensors").read_bytes() == before


def test_a_queue_tries_several_values(tried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = Path(sys.executable).parent
    monkeypatch.setenv(
        "PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}"
    )  # as in an activated environment
    dvc(tried, "exp", "run", "--queue", "--set-param", "train.lr=0.03,0.04")
    dvc(tried, "queue", "start")
    until = time.monotonic() + SECONDS
    while "0 active" not in (said := dvc(tried, "queue", "status")) or "Queued" in said or "Running" in said:
        assert time.monotonic() < until, said
        time.sleep(2)
    assert "Failed" not in said
    assert sorted(rate(data) for data in shown(tried).values()) == [0.01, 0.02, 0.03, 0.04]


def test_results_need_not_be_committed(tried: Path) -> None:
    """As in a clone whose user has not committed dvc.lock yet."""
    run(tried, "git", "rm", "--quiet", "--cached", "dvc.lock")
    run(tried, *GIT, "commit", "--quiet", "--message", "without results")
    dvc(tried, "exp", "run", "--temp", "--set-param", "train.lr=0.015", "--name", "uncommitted")
    assert {name: rate(data) for name, data in shown(tried).items()} == {"uncommitted": 0.015}
    dvc(tried, "exp", "apply", "uncommitted")
    assert "up to date" in dvc(tried, "status")
