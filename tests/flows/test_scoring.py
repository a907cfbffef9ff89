"""Batch scoring by command and by flow: exact, complete, and the same after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import Map
from projects import draw_images, edit_params, headstart, make_repository, make_tree, repro
from registries import client_of, uri_of

from headstart.errors import TrackingError
from headstart.versions.registry import stored_model
from headstart.versions.release.answers import score

pytestmark = pytest.mark.server
ROWS = 520
OLDER = """
from pathlib import Path

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ServedModel(PythonModel):
    def load_context(self, context):
        from headstart.versions.serving.predictor import Predictor
        from headstart.versions.registry.frozen import fetch_frozen

        files = context.artifacts
        self.predictor = Predictor.load(Path(files["head"]), fetch_frozen(Path(files["frozen"])))

    def predict(self, context, model_input, params=None):
        rows = self.predictor.predict(model_input["image"].tolist())
        classes = self.predictor.classes
        return pd.DataFrame(
            {
                "label": [classes[row.argmax()] for row in rows],
                "probabilities": [dict(zip(classes, map(float, row))) for row in rows],
            }
        )


set_model(ServedModel())
"""


@pytest.fixture(scope="module")
def registered(common: Path) -> Path:
    """A project with a registered version of three classes."""
    root = common / "project"
    make_tree(root)
    draw_images(root / "data", {"dark": 12, "light": 12, "white": 12})
    edit_params(root, **{"register.thresholds.accuracy": 0.0, "register.thresholds.balanced_accuracy": 0.0})
    make_repository(root)
    repro(root)
    assert "version 1 registered" in headstart(root, "register")
    return root


def about(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(pq.read_schema(out).metadata[b"headstart"])
    return found


def test_a_folder_is_scored_as_evaluate_did(registered: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert f"{out}: scored 36 images by models:/headstart/1" in headstart(
        registered, "score", "data", str(out)
    )
    found = pd.read_parquet(out).set_index("path")
    expected = pd.read_parquet(registered / "artifacts/predictions.parquet")
    assert len(expected) > 3
    for row in expected.to_dict(orient="records"):
        answer = found.loc[f"data/{row['path']}"]
        assert answer["label"] == row["predicted"]
        assert answer["model_version"] == "models:/headstart/1"
        probabilities = [answer[f"probability:{name}"] for name in ("dark", "light", "white")]
        assert answer["confidence"] == max(probabilities)
        for name, value in zip(("dark", "light", "white"), probabilities, strict=True):
            assert abs(value - row[f"probability:{name}"]) < 1e-3


def test_a_result_names_its_version_and_is_written_once(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, temporary = tmp_path / "out.parquet", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    headstart(registered, "score", "data", str(out))
    version = about(out)["version"]
    assert isinstance(version, dict)
    mlflow.set_tracking_uri(uri_of(registered))
    client = client_of(registered)
    recorded = client.get_model_version("headstart", "1")
    assert (version["name"], version["number"]) == ("headstart", "1")
    assert version["run_id"] == recorded.run_id
    assert version["head"] == recorded.tags["head"]
    assert version["backbone"] == client.get_run(recorded.run_id).data.tags["headstart.backbone"]
    written = out.stat()
    assert "nothing to do: it holds 36 images" in headstart(registered, "score", "data", str(out))
    assert out.stat().st_mtime_ns == written.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out.parquet"]

    model_id = recorded.source.rpartition("/")[2]
    again = client.create_model_version(
        "headstart", recorded.source, run_id=recorded.run_id, model_id=model_id
    )
    said = headstart(registered, "score", "data", str(out), "--model", f"models:/headstart/{again.version}")
    assert f"scored 36 images by models:/headstart/{again.version}" in said
    assert set(pd.read_parquet(out)["model_version"]) == {f"models:/headstart/{again.version}"}
    assert not list(temporary.glob("headstart-model-*"))


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(registered: Path, tmp_path: Path) -> None:
    images = sorted((registered / "data").rglob("*.png"))
    (tmp_path / "damaged.png").write_bytes(images[0].read_bytes()[:100])
    names = [str(images[number % len(images)]) for number in range(ROWS)]
    names[7], names[300] = "damaged.png", "missing.png"
    names[9] = "http://127.0.0.1:9/out-of-reach.png"
    source = tmp_path / "list.csv"
    pd.DataFrame({"path": names}).to_csv(source, index=False)
    out, parts = tmp_path / "killed.parquet", tmp_path / "killed.parquet.parts"
    command = [str(registered / "bin" / "headstart"), "score", str(source), str(out)]
    started = subprocess.Popen(command, cwd=registered, start_new_session=True)
    wait_for(lambda: (parts / "00000000.parquet").exists(), started)
    os.kill(started.pid, signal.SIGSTOP)  # it must not finish before the other has checked
    busy = subprocess.run(command, cwd=registered, capture_output=True, text=True)
    assert "another process is scoring into" in busy.stderr
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    wait_for(lambda: not members_of(started.pid))
    assert not out.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert 1 <= len(kept) < 3

    said = headstart(registered, "score", str(source), str(out))
    assert f"score: {256 * len(kept)} of {ROWS} are done already" in said
    assert f"scored {ROWS} images, 3 without a label" in said
    assert not parts.exists()
    whole = tmp_path / "whole.parquet"
    headstart(registered, "score", str(source), str(whole))
    assert out.read_bytes() == whole.read_bytes()
    found = pd.read_parquet(out)
    assert found["path"].tolist() == names
    errors = found[found["error"].notna()]
    assert errors.index.tolist() == [7, 9, 300]
    assert errors["label"].isna().all()
    assert errors["confidence"].isna().all()
    assert "cannot be decoded" in errors.loc[7, "error"]
    assert "ClientConnectorError" in errors.loc[9, "error"]
    assert "there is no file" in errors.loc[300, "error"]


def test_a_file_that_is_no_result_is_not_replaced(registered: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(out)
    said = headstart(registered, "score", "data", str(out), status=1)
    assert "was not written by `headstart score`" in said
    assert pd.read_parquet(out)["a"].tolist() == [1]
    said = headstart(registered, "score", "data", str(tmp_path / "o"), "--model", "models:/none/1", status=1)
    assert "there is no models:/none/1; registered models: headstart" in said


def test_a_version_older_than_the_column_path_is_asked_with_bytes(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate compares with such a champion by running its own code, here one that git does not have."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri_of(registered))
    number = register_older(tmp_path)
    expected = pd.read_parquet(registered / "artifacts/predictions.parquet")
    files = [registered / "data" / path for path in expected["path"]]
    with pytest.raises(TrackingError, match="holds code that this project does not have") as refused:
        score(f"models:/headstart/{number}", files)
    trusted = re.search(r"(HEADSTART_TRUSTED_CODE)=(\w+)", str(refused.value))
    assert trusted is not None
    monkeypatch.setenv(*trusted.groups())
    scores = score(f"models:/headstart/{number}", files, is_timed=True)
    assert scores.labels == expected["predicted"].tolist()
    assert scores.classes == ("dark", "light", "white")
    assert scores.milliseconds is not None
    assert 0.1 < scores.milliseconds < 5000
    assert 0.01 < scores.megabytes < 5

    (tmp_path / "damaged.png").write_bytes(files[0].read_bytes()[:100])
    (tmp_path / "list.txt").write_text(f"damaged.png\n{files[0]}\n")
    out = tmp_path / "older.parquet"
    command = ("score", str(tmp_path / "list.txt"), str(out), "--model", f"models:/headstart/{number}")
    assert "scored 2 images, 1 without a label" in headstart(registered, *command)
    damaged, good = pd.read_parquet(out).to_dict(orient="records")
    assert "cannot be decoded" in damaged["error"]
    assert good["label"] == expected["predicted"][0]
    probability = good[f"probability:{good['label']}"]
    assert abs(probability - expected[f"probability:{good['label']}"][0]) < 1e-3


def register_older(folder: Path) -> str:
    """Register version 1's model with code from before the column `path`; return the new version's number."""
    stored = stored_model.fetch("models:/headstart/1")
    (folder / "older.py").write_text(OLDER)
    signature = ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema([ColSpec("string", "label"), ColSpec(Map("double"), "probabilities")]),
    )
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(folder / "older.py"),
            artifacts={"head": str(stored.head), "frozen": str(stored.frozen)},
            code_paths=[str(stored.folder / "code" / "headstart")],
            pip_requirements=["mlflow"],
            signature=signature,
            registered_model_name="headstart",
        )
    return str(logged.registered_model_version)


def test_the_flow_scores_and_shows_counts(registered: Path, tmp_path: Path) -> None:
    out = tmp_path / "flow.parquet"
    source = str(tmp_path / "list.txt")
    Path(source).write_text(f"{registered}/data/dark/000.png\nmissing.png\n")
    script = (
        "import asyncio; from flows.scoring import score_images;"
        f"print(score_images({source!r}, {str(out)!r}, 'models:/headstart/1'));"
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client: print(*(a.data for a in client.read_artifacts()))"
    )
    path = f"{registered}/src:{registered}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=registered,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"{out}: scored 2 images, 1 without a label (column `error`) by models:/headstart/1" in done.stdout
    assert "## 2 images by models:/headstart/1" in done.stdout
    assert "Without a label: 1." in done.stdout
    assert "- 1 x there is no file" in done.stdout
    assert "`headstart lineage models:/headstart/1`" in done.stdout
    assert len(pd.read_parquet(out)) == 2

    (tmp_path / "missing.png").write_bytes((registered / "data/dark/000.png").read_bytes())
    assert f"{out}: scored 2 images by models:/headstart/1" in headstart(
        registered, "score", source, str(out), "--model", "models:/headstart/1"
    )


def wait_for(
    what: Callable[[], object], process: "subprocess.Popen[bytes] | None" = None, seconds: float = 180
) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert process is None or process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)


def members_of(session: int) -> list[int]:
    """Running processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found
