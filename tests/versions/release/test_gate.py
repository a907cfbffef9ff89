"""The gate with real versions of a narrow network: what it compares, on which images, and what it records."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from projects import commit, draw_images, dvc, edit_params, headstart, repro
from registries import client_of, uri_of

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def two_versions(common_repository: Path) -> Path:
    """A project whose second version has other classes and splits: version 1 trained on its test images."""
    root = common_repository
    repro(root)
    assert "version 1 registered (alias: challenger, champion)" in headstart(root, "register")
    draw_images(root / "data", {"a": 1, "b": 1, "white": 24}, seed=7)
    for name in ("a", "b"):
        (root / "data" / name / "000.png").unlink()
        (root / "data" / name).rmdir()
    dvc(root, "add", "--quiet", "data")
    commit(root)
    edit_params(root, **{"split.seed": 1, "register.thresholds.accuracy": 0.0})
    edit_params(root, **{"register.thresholds.balanced_accuracy": 0.0})
    repro(root)
    headstart(root, "register")
    return root


@pytest.fixture
def client(two_versions: Path) -> MlflowClient:
    mlflow.set_tracking_uri(uri_of(two_versions))
    return client_of(two_versions)


def test_the_first_version_is_judged_without_a_champion(client: MlflowClient) -> None:
    first = client.get_model_version("headstart", "1")
    assert first.tags["gate"] == "passed"
    assert first.tags["compared_with"] == "none"
    assert first.description.startswith("PASS: accuracy ")
    assert "pencil beside Aliases" in first.description
    assert f"](#/experiments/1/runs/{first.run_id}/artifacts/reports/report.html)" in first.description
    assert str(client.get_run(first.run_id).info.run_name).startswith("version 1 passed (")


def test_too_few_images_that_the_champion_never_saw_are_inconclusive(client: MlflowClient) -> None:
    second = client.get_model_version("headstart", "2")
    decided = json.loads(mlflow.artifacts.load_text(f"runs:/{second.run_id}/gate/gate.json"))
    checks = {check["name"]: check for check in decided["checks"]}
    assert decided["champion"] == "1"
    assert second.tags["gate"] == decided["verdict"] == "inconclusive"
    assert "images that the champion did not see, 5 are needed" in checks["accuracy_difference"]["note"]
    assert "challenger" not in second.aliases
    page = mlflow.artifacts.load_text(f"runs:/{second.run_id}/gate/comparison.html")
    assert "<h1>models:/headstart/1 → models:/headstart/2</h1>" in page
    assert "gate/comparison.html" in second.description


def test_a_version_is_judged_again_by_other_limits(client: MlflowClient, two_versions: Path) -> None:
    edit_params(two_versions, **{"gate.min_images": 1, "gate.max_latency_ms": 0.01, "gate.margin": 0.9})
    said = headstart(two_versions, "gate", "models:/headstart/2", status=4)
    assert "FAIL: " in said
    assert "latency failed: " in said
    card = client.get_model_version("headstart", "2").description
    assert "Do not promote this version: the gate's verdict is failed." in card
    assert "`headstart promote models:/headstart/2 --override REASON`" in card
    assert "pencil" not in card
    assert "required: at most 0.01 ms" in said
    again = client.get_model_version("headstart", "2")
    assert again.tags["gate"] == "failed"
    assert "; latency_ms failed " in again.tags["gate.checks"]
    assert "; new_classes passed " in again.tags["gate.checks"]
    [found] = client.search_model_versions("tags.`gate.checks` LIKE '%latency_ms failed%'")
    assert str(found.version) == "2"
    assert client.get_run(again.run_id).data.metrics["gate/latency_ms"] > 0.01


def test_what_names_no_model_is_an_error(two_versions: Path) -> None:
    assert "names no model" in headstart(two_versions, "gate", "champion", status=1)


def test_a_head_that_looks_at_brightness_alone_fails_though_it_is_right(repository: Path) -> None:
    random = np.random.default_rng(0)
    for name, level in (("dark", 116), ("light", 140)):
        for path in sorted((repository / "data" / name).iterdir()):
            pixels = random.integers(level - 3, level + 4, (60, 60, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(path)
    dvc(repository, "add", "--quiet", "data")
    edit_params(repository, **{"gate.brightness": 0.85, "gate.mirror": 0.85})
    repro(repository)
    said = headstart(repository, "register")
    assert "FAIL: accuracy " in said
    assert "brightness failed: " in said
    assert "(alias: none)" in said
    checks = client_of(repository).get_model_version("headstart", "1").tags["gate.checks"]
    assert checks.startswith("accuracy passed ")
    assert "; mirror passed " in checks
    assert "; brightness failed " in checks
