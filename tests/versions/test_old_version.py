"""A version registered before the packages moved carries its own code, and today's works with it."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from projects import (
    ROOT,
    commit,
    draw_images,
    edit_params,
    headstart,
    make_narrow,
    make_repository,
    make_tree,
    repro,
    run,
)
from registries import client_of

pytestmark = pytest.mark.slow
BEFORE = "c91ff9fd7432f634565e24bc9de112feb7596a8a"  # the last commit of the old layout
CODE = ("bin", "dvc.yaml", "params.yaml", "requirements.lock", "src", "flows", ".dvcignore")
OLD, NEW = "models:/headstart/1", "models:/headstart/2"


def unpack(revision: str, root: Path) -> None:
    """Unpack the project at an earlier commit, without its data, tests and documents."""
    archive = subprocess.run(
        ["git", "archive", revision, *CODE], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(root, filter="data")


def check_history() -> None:
    found = subprocess.run(["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, capture_output=True)
    if found.returncode == 0:
        return
    if run(ROOT, "git", "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        pytest.skip(f"a shallow clone without commit {BEFORE[:12]}: `git fetch --unshallow` brings it")
    pytest.fail(f"commit {BEFORE} is not in the history of {ROOT}")


def upgrade(root: Path, today: Path) -> None:
    """Replace the old code with today's, and commit it."""
    make_tree(today, linked=False)
    for name in CODE:
        if (root / name).is_dir():
            shutil.rmtree(root / name)
            shutil.copytree(today / name, root / name)
        else:
            shutil.copy(today / name, root / name)
    commit(root)


@pytest.fixture(scope="module")
def project(common: Path) -> Path:
    """A project with version 1 registered by the old code, and version 2 by today's on the same data."""
    check_history()
    root = common / "project"
    root.mkdir()
    unpack(BEFORE, root)
    make_narrow(root)
    unchecked = dict.fromkeys(("mirror", "brightness", "shift", "encoding"))
    edit_params(root, **{f"gate.{name}": value for name, value in unchecked.items()})
    draw_images(root / "data", {"dark": 24, "light": 24})
    make_repository(root)
    repro(root)
    headstart(root, "register")
    upgrade(root, common / "today")
    repro(root)
    headstart(root, "register")
    return root


@pytest.fixture
def client(project: Path) -> MlflowClient:
    return client_of(project)


def test_it_carries_the_code_of_the_old_layout(project: Path) -> None:
    [stored] = (project / "mlflow/artifacts").rglob("code/headstart/registry/served_model.py")
    assert not (stored.parent.parent / "versions").exists()


def test_it_answers_as_it_did(project: Path, client: MlflowClient, tmp_path: Path) -> None:
    headstart(project, "score", "data", "scores.parquet", "--model", OLD)
    scores = pd.read_parquet(project / "scores.parquet").set_index("path")
    run_id = str(client.get_model_version("headstart", "1").run_id)
    recorded = pd.read_parquet(
        client.download_artifacts(run_id, "results/predictions.parquet", str(tmp_path))
    )
    found = scores.loc[[f"data/{path}" for path in recorded["path"]]]
    assert len(scores) == 48
    assert list(found["label"]) == list(recorded["predicted"])
    assert list(found["confidence"]) == pytest.approx(list(recorded["confidence"]), abs=1e-3)


def test_todays_code_reads_its_head(project: Path) -> None:
    said = headstart(project, "predict", "data/dark/000.png", "--model", OLD, "--json")
    assert f"model: {OLD}, head " in said
    assert '"label": "dark"' in said


def test_it_is_traced(project: Path) -> None:
    found = json.loads(headstart(project, "lineage", OLD, "--json"))
    assert found["Version"]["name"] == OLD
    assert found["Code"]["uncommitted changes"] == "none"
    assert found["Network"]["backbone"] == "random (seed 0)"


def test_a_new_version_is_compared_with_it(project: Path, client: MlflowClient) -> None:
    second = client.get_model_version("headstart", "2")
    assert second.tags["compared_with"] == "1"
    assert second.tags["gate"] == "passed"
    assert "; accuracy_difference passed 0;" in second.tags["gate.checks"]


def test_it_is_judged(project: Path, client: MlflowClient) -> None:
    said = headstart(project, "gate", OLD)
    assert "PASS: accuracy " in said
    assert client.get_model_version("headstart", "1").tags["gate"] == "passed"


def test_it_is_compared_file_by_file(project: Path) -> None:
    found = json.loads(headstart(project, "compare", OLD, NEW, "--json"))
    assert found["code"]["src/headstart/model/training.py"] == "removed"
    assert found["code"]["src/headstart/pipeline/training/stage.py"] == "added"
    assert found["images"]["added"] == found["images"]["removed"] == found["predictions"] == []


def test_it_is_made_again_by_its_own_code(project: Path) -> None:
    said = headstart(project, "reproduce", OLD)
    assert "Verdict                  identical\n" in said
