"""A project and its versions from Python: the same results and answers as the commands give."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import warm
from PIL import Image
from projects import ROOT, draw_images, edit_params, headstart, make_repository, make_tree
from registries import client_of, uri_of

import headstart as product
from headstart.api import project as project_module
from headstart.errors import (
    ArgumentError,
    DataError,
    DefaultsUsed,
    HeadstartError,
    ModelError,
    StageError,
    StaleResults,
    TrackingError,
)
from headstart.ground import runtime
from headstart.ground.paths import cache_folder
from headstart.ground.reading import load_table
from headstart.pipeline.features.feature_file import Features
from headstart.pipeline.network import checkpoint
from headstart.repository import programs
from headstart.versions.registry import tracking
from headstart.versions.registry.stored_model import file_digest, open_stored
from headstart.versions.serving.model_process import ModelProcess

CHAMPION = "models:/headstart@champion"


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """DVC, stages and versions run by the warm interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project_module.sys, "executable", warm.python())
        patch.setitem(programs.dvc.__kwdefaults__, "python", warm.python())
        yield


@pytest.fixture(scope="module")
def registered(common: Path, quick: None) -> Path:
    """A project with a registered version of two classes, made from Python."""
    root = common / "project"
    make_tree(root)
    draw_images(root / "data", {"dark": 12, "light": 12})
    edit_params(root, **{f"register.thresholds.{name}": 0.0 for name in ("accuracy", "balanced_accuracy")})
    edit_params(root, **{"features.batch_size": 4})
    make_repository(root)
    project = product.Project(root)
    with pytest.raises(StaleResults, match=r"has no results yet: run `project\.repro\(\)`"):
        project.metrics()
    assert project.repro("features") == ["backbone", "validate", "preprocess", "features"]
    assert project.repro() == ["inspect", "train", "evaluate"]
    assert "version 1 registered" in headstart(root, "register")
    return root


@pytest.fixture
def project(registered: Path, in_common: Path) -> Iterator[product.Project]:
    """The project; whatever a test does with it, the working folder and MLflow's settings stay."""
    before = Path.cwd()
    yield product.Project(registered / "data")
    assert Path.cwd() == before
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & set(os.environ)
    assert not mlflow.tracking.is_tracking_uri_set()


@pytest.fixture(scope="module")
def model(registered: Path) -> product.Model:
    return product.Project(registered).load(CHAMPION)


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """The tags of a page with their attributes, as a browser reads them."""
    found: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))  # type: ignore[method-assign]
    parser.feed(page)
    return found


def test_results_are_those_of_the_files(project: product.Project) -> None:
    root = project.root
    found = project.metrics()
    assert found["accuracy"] == json.loads((root / "reports/metrics.json").read_text())["accuracy"]
    assert found["intervals"]["accuracy"]["low"] < found["accuracy"]
    assert found["classes"]["dark"]["support"] > 0
    assert set(found["classes"]) == {"dark", "light"}
    predictions = project.predictions()
    pd.testing.assert_frame_equal(predictions, pd.read_parquet(root / "artifacts/predictions.parquet"))
    assert len(predictions) == found["images"]
    report = project.report()
    assert report.path == root / "reports/report.html"
    [(tag, attributes)] = tags_of(report._repr_html_())
    assert tag == "iframe"
    assert attributes["srcdoc"] == report.path.read_text(encoding="utf-8")
    assert "allow-same-origin" not in str(attributes["sandbox"])
    assert project.stale() == []


def test_nothing_runs_twice_and_output_comes_as_it_is_printed(
    project: product.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.repro("evaluate") == []
    assert "Stage 'evaluate' didn't change, skipping" in capsys.readouterr().out


def test_figures_of_an_older_recipe_are_not_shown(project: product.Project) -> None:
    text = (project.root / "params.yaml").read_text()
    edit_params(project.root, **{"train.lr": 0.01})
    try:
        assert project.stale() == ["train"]
        for read in (project.metrics, project.predictions, project.report):
            with pytest.raises(
                StaleResults, match=r"are not those of its code.*: train changed; run `project"
            ):
                read()
    finally:
        (project.root / "params.yaml").write_text(text)
    assert project.metrics()["images"] > 0


def test_a_missing_key_is_a_warning_for_programs(project: product.Project) -> None:
    path = project.root / "params.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("monitor:")])
    try:
        with pytest.warns(DefaultsUsed, match=r"params\.yaml lacks monitor \(the whole section\)") as found:
            assert len(project.versions()) == 1
    finally:
        path.write_text(text)
    assert [each.filename for each in found if each.category is DefaultsUsed] == [__file__]


def test_a_missing_section_that_a_stage_needs_names_the_upgrade(project: product.Project) -> None:
    path = project.root / "params.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("evaluate:")] + text[text.index("register:") :])
    try:
        with pytest.raises(StageError, match=r"Parameters 'evaluate' are missing(.|\n)*`headstart upgrade`"):
            project.repro("evaluate")
    finally:
        path.write_text(text)
    assert project.repro() == []


def test_a_stage_that_fails_gives_its_reason(project: product.Project) -> None:
    text = (project.root / "params.yaml").read_text()
    edit_params(project.root, **{"train.epochs": 0})
    try:
        with pytest.raises(StageError, match=r"stage train failed: params\.yaml: train\.epochs"):
            project.repro()
    finally:
        (project.root / "params.yaml").write_text(text)
    assert project.repro() == []  # DVC restores what it had deleted before the stage failed
    with pytest.raises(StageError, match=r"dvc repro failed:\s+.*no-such-stage"):
        project.repro("no-such-stage")


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="is not in a Headstart project"):
        product.Project(tmp_path)


def test_versions_are_listed(project: product.Project) -> None:
    [row] = project.versions().to_dict(orient="records")
    assert row["version"] == 1
    assert row["aliases"] == ("challenger", "champion")
    assert row["verdict"] == "passed"
    assert row["accuracy"] == project.metrics()["accuracy"]
    assert abs(pd.Timestamp.now("UTC") - row["registered"]) < pd.Timedelta(hours=1)
    assert row["run"].startswith("runs:/")


def test_a_model_without_versions_has_an_empty_table(project: product.Project) -> None:
    text = (project.root / "params.yaml").read_text()
    edit_params(project.root, **{"register.model": "other"})
    try:
        found = project.versions()
    finally:
        (project.root / "params.yaml").write_text(text)
    assert found.empty
    assert list(found) == ["version", "aliases", "verdict", "accuracy", "registered", "run"]


def test_answers_are_those_of_the_version_itself(
    project: product.Project, model: product.Model, tmp_path: Path
) -> None:
    """Figure by figure, against the version's own code in a process of its own."""
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    files = [*sorted((project.root / "data").rglob("*.png")), tmp_path / "damaged.png", tmp_path / "none.png"]
    stored = open_stored(downloaded(project, tmp_path), "models:/headstart/1", None)
    with tracking.in_project(project.root), ModelProcess(stored) as process:
        expected = process.ask([str(path) for path in files])
    found = model.predict(files)
    assert list(found) == ["label", "probabilities", "model_version", "error"]
    assert found["label"].tolist() == [answer.label for answer in expected]
    assert found["probabilities"].tolist() == [answer.probabilities for answer in expected]
    assert found["error"].tolist() == [answer.error for answer in expected]
    assert set(found["model_version"]) == {"models:/headstart/1"}
    assert found["error"].notna().sum() == 2
    assert (model.version, model.classes) == ("models:/headstart/1", ("dark", "light"))


def downloaded(project: product.Project, folder: Path) -> Path:
    """The champion's files, as MLflow downloads them."""
    with tracking.in_project(project.root):
        return Path(mlflow.artifacts.download_artifacts(CHAMPION, dst_path=str(folder)))


def test_every_form_of_a_picture_has_one_answer(registered: Path, model: product.Model) -> None:
    path = registered / "data/light/000.png"
    array = np.asarray(Image.open(path))
    forms = [path, str(path), path.as_uri(), path.read_bytes(), Image.open(path), array, array]
    found = model.predict(forms)["probabilities"].tolist()
    assert all(each == found[0] for each in found)
    assert model.predict(np.stack([array, array]))["label"].tolist() == ["light", "light"]
    assert len(model.predict([])) == 0
    same = Image.open(path)
    assert model.predict([same] * 8)["error"].isna().all()


def test_a_bad_picture_is_a_row_with_its_reason(registered: Path, model: product.Model) -> None:
    path = registered / "data/light/000.png"
    tiny, grey = np.zeros((5, 50, 3), np.uint8), np.full((50, 50), 250, np.uint8)
    found = model.predict([path, tiny, registered, "", grey])
    assert found["label"].isna().tolist() == [False, True, True, True, False]
    assert found["error"][1] == "height is 5 pixels, expected at least 32"
    assert "is a folder, expected a file" in found["error"][2]
    with pytest.raises(ArgumentError, match="image 1 is an array float64"):
        model.predict([path, tiny / 255])


@pytest.mark.parametrize("mode", ["default", "error"])
def test_features_are_the_bytes_of_the_stage(registered: Path, model: product.Model, mode: str) -> None:
    before = torch.get_deterministic_debug_mode()
    try:
        torch.set_deterministic_debug_mode(mode)
        check_features(registered, model, {"default": 0, "error": 2}[mode])
    finally:
        torch.set_deterministic_debug_mode(before)


def check_features(registered: Path, model: product.Model, mode: int) -> None:
    """The bytes are those of the stage; random numbers and the mode stay as they were."""
    torch.manual_seed(7)
    expected_random = torch.rand(3)
    torch.manual_seed(7)
    table = load_table(registered / "artifacts/images.parquet", ["path"])
    rows = Features(registered / "artifacts/features.safetensors").rows(0, len(table)).flatten(1).numpy()
    order = np.random.default_rng(0).permutation(len(table))
    found = model.embed([registered / "data" / table["path"][place] for place in order])
    assert found.dtype == np.float32
    assert found.tobytes() == rows[order].tobytes()
    assert model.embed(registered / "data" / table["path"][0]).tobytes() == rows[:1].tobytes()
    assert model.embed([]).shape == (0, rows.shape[1])
    assert torch.equal(torch.rand(3), expected_random)
    assert torch.get_deterministic_debug_mode() == mode


def test_a_bad_picture_has_no_features(registered: Path, model: product.Model) -> None:
    path, tiny = registered / "data/light/000.png", np.zeros((5, 50, 3), np.uint8)
    missing = registered / "none.png"
    with pytest.raises(
        DataError, match=r"2 of 3 images have no features: image 1: height is 5 .*image 2 \(.*no"
    ) as bad:
        model.embed([path, tiny, missing])
    assert str(missing) in str(bad.value)
    found = model.embed([path, tiny, missing], errors="nan")
    assert np.isnan(found).all(1).tolist() == [False, True, True]
    with pytest.raises(ArgumentError, match="errors is 'ignore'; expected 'raise' or 'nan'"):
        model.embed(path, errors="ignore")  # type: ignore[arg-type]


def test_a_downloaded_folder_and_a_head_file_answer_too(
    project: product.Project, model: product.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.root / "data/light/003.png"
    folder = downloaded(project, tmp_path)
    monkeypatch.chdir(tmp_path)
    versions = []
    for source in (folder, project.root / "artifacts/head.safetensors"):
        found = product.load(source)
        assert found.predict(path)["probabilities"][0] == model.predict(path)["probabilities"][0]
        versions.append(found.version)
    assert versions == ["models:/headstart/1", f"head {checkpoint.metadata(source)['digest']}"]
    [head] = folder.rglob("head.safetensors")
    changed = {name: tensor + 1 for name, tensor in checkpoint.load(head).items()}
    checkpoint.save(head, changed, checkpoint.metadata(head))
    with pytest.raises(ModelError, match="changed after it was written"):
        product.load(folder)
    monkeypatch.undo()


def test_a_model_is_found_from_within_the_project_alone(
    project: product.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="set MLFLOW_TRACKING_URI, or change to a folder of the project"):
        product.load(CHAMPION)
    assert not (tmp_path / "mlflow").exists()
    monkeypatch.chdir(project.root / "data")
    with pytest.raises(TrackingError, match="there is no models:/headstart/9; there are models:/headstart@"):
        product.load("models:/headstart/9")
    monkeypatch.undo()


def test_the_server_records_the_whole_head_file(project: product.Project) -> None:
    version = client_of(project.root).get_model_version("headstart", "1")
    digest = file_digest(project.root / "artifacts/head.safetensors")
    run = client_of(project.root).get_run(str(version.run_id))
    assert version.tags["head_file"] == run.data.tags["headstart.head_file"] == digest


def test_a_relative_path_starts_from_the_project_or_the_working_folder(
    project: product.Project, model: product.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never from another folder, even one that has the same names."""
    head = "artifacts/head.safetensors"
    for path in (head, "headstart/1"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(b"another")
    monkeypatch.chdir(tmp_path)
    digest = checkpoint.metadata(project.root / head)["digest"]
    assert project.load(head).version == f"head {digest}"
    assert project.load("headstart/1").version == model.version
    with pytest.raises(HeadstartError, match=f"there is no head file {project.root}/other"):
        project.load("other.safetensors")
    with pytest.raises(ModelError, match=f"cannot read {tmp_path}/{head}"):
        product.load(head)
    monkeypatch.chdir(project.root / "data")
    assert product.load(f"../{head}").version == f"head {digest}"
    monkeypatch.undo()


def test_a_loaded_model_leaves_no_files_behind(
    project: product.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = project.load(CHAMPION)
    assert list(tmp_path.iterdir()) == []
    assert opened.predict(project.root / "data/light/000.png")["error"].isna().all()


def test_threads_embed_one_after_another(
    registered: Path, model: product.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's settings of the process are what they were afterwards, and every thread gets the same bytes."""
    path = registered / "data/light/000.png"
    expected = model.embed(path).tobytes()
    settings = torch.get_deterministic_debug_mode(), torch.get_rng_state()
    choose = runtime.choose_deterministic

    def slowly() -> None:
        choose()
        time.sleep(0.01)

    monkeypatch.setattr(runtime, "choose_deterministic", slowly)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: model.embed(path).tobytes(), range(24))) == {expected}
    assert torch.get_deterministic_debug_mode() == settings[0]
    assert torch.equal(torch.get_rng_state(), settings[1])


def test_the_command_finds_the_layers_of_a_folder_in_the_projects_database(
    project: product.Project, tmp_path: Path
) -> None:
    folder = downloaded(project, tmp_path)
    shutil.rmtree(cache_folder() / "backbones")
    said = headstart(project.root, "predict", "--model", str(folder), "--json", "data/light/000.png")
    assert '"label": "light"' in said


def test_the_callers_server_stays_set(
    project: product.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri(uri_of(project.root))
    mlflow.set_registry_uri("sqlite:///elsewhere.db")
    monkeypatch.chdir(tmp_path)
    assert product.load("headstart/1").version == "models:/headstart/1"
    assert mlflow.get_tracking_uri() == uri_of(project.root)
    assert mlflow.get_registry_uri() == "sqlite:///elsewhere.db"
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    mlflow.set_registry_uri(None)  # type: ignore[arg-type]
    os.environ.pop("MLFLOW_REGISTRY_URI")
    monkeypatch.undo()


def test_the_examples_of_the_documents_run(
    project: product.Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Block by block, as in one notebook."""
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 6
    names: dict[str, Any] = {}
    with monkeypatch.context() as patch:
        patch.chdir(project.root)
        for block in blocks:
            exec(compile(block, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "models:/headstart/1 ('dark', 'light')" in said
    assert "['dark']\n" in said
    assert "[False  True]" in said
    assert "ran: []" in said
