"""The stages as DVC runs them, from a folder of images to predictions, with a narrow network."""

import ast
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from projects import ROOT, commit, draw_images, dvc, edit_params, make_repository, make_tree, repro, run
from ruamel.yaml import YAML

from headstart import repository
from headstart.ground.import_closure import NO_RESULT, import_closure
from headstart.repository.code_lock import MODULES

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
OUTS = (
    "artifacts/head.safetensors",
    "artifacts/predictions.parquet",
    "artifacts/features.safetensors",
    "artifacts/images.parquet",
    "artifacts/manifest.parquet",
    "reports/metrics.json",
    "reports/intervals.json",
    "reports/classes.csv",
    "artifacts/findings.parquet",
    "reports/data.html",
    "reports/validation.json",
    "reports/report.html",
)


ROOM = len(("src", "headstart", "pipeline", "evaluation"))  # a dep holds the folders within it too


def code_of(stage: str) -> set[str]:
    """The source files that a stage's result depends on."""
    used = import_closure(ROOT / "src", MODULES[stage])
    return used - {f"src/headstart/{name}" for name in NO_RESULT}


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_that_a_stage_depends_on_is_the_code_that_it_uses(stage: str) -> None:
    folders = {dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")}
    assert folders == {"/".join(name.split("/")[:-1][:ROOM]) for name in code_of(stage)}
    assert "requirements.lock" in STAGES[stage]["deps"]


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_talks_to_a_server_or_imports_what_cannot_be_seen(stage: str) -> None:
    for name in code_of(stage):
        assert name.startswith(("src/headstart/ground/", "src/headstart/pipeline/"))
        assert not name.startswith("src/headstart/pipeline/data_docs/")
        tree = ast.parse((ROOT / name).read_text())
        used = set(imported(tree))
        assert not {name.partition(".")[0] for name in used} & {"mlflow", "prefect", "dvc", "requests"}, name
        assert not used & {"__import__", "import_module", "importlib.import_module"}, name


def imported(tree: ast.Module) -> Iterator[str]:
    """Everything imported by name, and every name or attribute that could import by a computed name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr


def test_stages_are_listed_in_the_order_they_run() -> None:
    made: set[str] = set()
    outs = {out for stage in STAGES.values() for out in [*stage["outs"], *stage.get("metrics", [])]}
    for stage in STAGES.values():
        assert {dep for dep in stage["deps"] if dep in outs} <= made
        made |= {*stage["outs"], *stage.get("metrics", [])}


@pytest.fixture(scope="module")
def done(common: Path) -> Path:
    """A project whose pipeline has run once, for tests to copy."""
    root = common / "project"
    make_tree(root)
    draw_images(root / "data", {"dark": 24, "light": 24})
    (root / "data" / "dark" / "notes.jpg").write_text("no image")
    (root / "data" / "dark" / "notes.txt").write_text("not meant to be one")
    edit_params(root, **{"validate.max_excluded": 0.1})
    make_repository(root)
    repro(root)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in OUTS}


def copy(done: Path, target: Path) -> Path:
    shutil.copytree(done, target, symlinks=True)
    return target


def test_it_learns_what_can_be_learnt(done: Path) -> None:
    metrics = json.loads((done / "reports/metrics.json").read_text())
    assert metrics["accuracy"] > 0.8
    predictions = pd.read_parquet(done / "artifacts/predictions.parquet")
    manifest = pd.read_parquet(done / "artifacts/manifest.parquet").set_index("path")
    assert set(predictions["path"]) == set(manifest.index[manifest["split"] == "test"])
    assert (predictions["label"] == manifest.loc[predictions["path"], "label"].tolist()).all()
    assert metrics["images"] == len(predictions)
    both = predictions[["probability:dark", "probability:light"]]
    assert (both.sum(axis=1) - 1).abs().max() < 1e-9
    assert (predictions["predicted"] == predictions["label"]).mean() == metrics["accuracy"]


def test_a_file_that_is_no_image_is_left_out_and_named(done: Path) -> None:
    validation = json.loads((done / "reports/validation.json").read_text())
    assert validation["success"]
    assert [excluded["path"] for excluded in validation["excluded"]] == ["dark/notes.jpg"]
    assert validation["others"] == {"files": 1, "paths": ["dark/notes.txt"]}
    assert "dark/notes.jpg" in (done / "reports/report.html").read_text()


def test_random_weights_are_named_in_the_report(done: Path) -> None:
    assert "Backbone weights: random" in (done / "reports/report.html").read_text()


def test_from_nothing_again_gives_the_same_bytes(done: Path, tmp_path: Path) -> None:
    """In another folder, with another store and without DVC's cache and run-cache."""
    again = copy(done, tmp_path / "elsewhere")
    for name in ("artifacts", "reports", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(again / name)
    (again / "dvc.lock").unlink()
    repro(again)
    assert contents(again) == contents(done)


def test_no_out_names_a_folder_of_this_machine(done: Path) -> None:
    for path in [*(done / "artifacts").rglob("*"), *(done / "reports").rglob("*")]:
        if path.is_file():
            assert str(done.parent).encode() not in path.read_bytes(), path


def test_nothing_is_left_to_do_and_an_edit_runs_what_it_touches(done: Path, tmp_path: Path) -> None:
    root = copy(done, tmp_path / "p")
    assert "Data and pipelines are up to date" in repro(root)
    edit_params(root, **{"train.lr": 0.04})
    out = repro(root)
    assert "Running stage 'train'" in out
    assert "Running stage 'evaluate'" in out
    assert "Running stage 'features'" not in out


def test_new_images_cost_only_themselves(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy(done, tmp_path / "p")
    monkeypatch.setenv("HEADSTART_CACHE", str(shutil.copytree(done.parent / "store", tmp_path / "warm")))
    before = pd.read_parquet(root / "artifacts/manifest.parquet").set_index("path")["split"]
    draw_images(tmp_path / "new", {"dark": 3}, seed=9)
    for path in (tmp_path / "new" / "dark").iterdir():
        shutil.copy(path, root / "data" / "dark" / f"new-{path.name}")
    out = repro(root)
    assert "preprocess: 51 images packed, 3 decoded now" in out
    assert "3 images went through the network now" in out
    after = pd.read_parquet(root / "artifacts/manifest.parquet").set_index("path")["split"]
    assert (after[before.index] == before).all()


def test_a_worktree_with_edited_code_shows_the_edit(done: Path, tmp_path: Path) -> None:
    """The installed package is not the one in the tree."""
    root = copy(done, tmp_path / "p")
    (root / "src" / "headstart").unlink()
    shutil.copytree(ROOT / "src" / "headstart", root / "src" / "headstart")
    stage = root / "src" / "headstart" / "pipeline" / "training" / "stage.py"
    stage.write_text(stage.read_text().replace("{done}, best", "{done}, edited here, best"))
    assert "train: 12 epochs, edited here, best" in repro(root)
    shown = run(root, str(Path(sys.executable).with_name("headstart")), "train")
    assert "edited here" in shown.stdout


def test_a_killed_training_starts_anew_after_an_edit_of_code_that_decides_its_result(
    done: Path, tmp_path: Path
) -> None:
    root = copy(done, tmp_path / "p")
    source = root / "src" / "headstart"
    source.unlink()
    shutil.copytree(ROOT / "src" / "headstart", source)
    edit_params(root, **{"train.epochs": 4000, "train.patience": 4000})
    command = [str(root / "bin" / "headstart"), "train"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=root, stdout=quiet, stderr=quiet)
    until = time.monotonic() + 60
    while not list((tmp_path / "store" / "checkpoints").glob("*-0.safetensors")):
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()
    weights = source / "pipeline" / "network" / "weights.py"
    assert "bound = 1 /" in weights.read_text()
    weights.write_text(weights.read_text().replace("bound = 1 /", "bound = 100 /"))
    assert first_line(root, command).startswith("train:   0%")
    weights.write_text(weights.read_text().replace("bound = 100 /", "bound = 1 /"))
    assert first_line(root, command).startswith("train: resumes where it was stopped")


def first_line(root: Path, command: list[str]) -> str:
    """Run a command until its first line of output, kill it, and return the line."""
    with subprocess.Popen(command, cwd=root, text=True, stdout=-1, stderr=-2) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.strip())
        process.kill()
    return line


def test_compiled_modules_are_of_no_stage(done: Path) -> None:
    """Python writes them beside the code while a stage runs, unless its environment forbids that."""
    assert dvc(done, "check-ignore", "src/headstart/ground/__pycache__/paths.cpython-311.pyc")


def test_the_launcher_uses_the_interpreter_of_dvc(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test `.venv/bin/dvc repro` without an activated environment."""
    monkeypatch.delenv("HEADSTART_PYTHON")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    root = copy(done, tmp_path / "p")
    edit_params(root, **{"train.epochs": 2})
    dvc = str(Path(sys.executable).with_name("dvc"))
    assert "train: 2 epochs" in run(root, dvc, "repro", "--single-item", "train").stdout


def test_dvc_shows_metrics_and_plots(done: Path, tmp_path: Path) -> None:
    root = copy(done, tmp_path / "p")
    shown = json.loads(dvc(root, "metrics", "show", "--json"))
    metrics = json.loads((root / "reports/metrics.json").read_text())
    assert shown[""]["data"] == {"reports/metrics.json": {"data": metrics}}
    names = ["accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss", "images"]
    assert list(metrics) == names  # a column each
    dvc(root, "plots", "show", "--out", "plots")
    page = (root / "plots" / "index.html").read_text()
    titles = ("Loss per epoch", "Accuracy per epoch", "Test images by actual and predicted class", "ROC")
    for title in (*titles, "Recall of each class"):
        assert title in page
    assert "Error" not in dvc(root, "plots", "show")


def test_the_lock_digest_is_that_of_the_results(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(done, tmp_path / "p")
    monkeypatch.chdir(root)
    first = repository.lock_digest()
    assert not repository.stale()
    edit_params(root, **{"train.lr": 0.02})
    assert list(repository.stale()) == ["train"]
    repro(root)
    assert repository.lock_digest() != first


def test_dirt_is_seen_and_recorded(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy(done, tmp_path / "p")
    monkeypatch.chdir(root)
    commit(root)
    (root / "dvc.lock").write_text((root / "dvc.lock").read_text() + "\n")
    (root / "scratch.txt").write_text("not code")
    clean = repository.current_commit()
    assert (clean.dirty, clean.on_remote, clean.branch) == (False, False, "main")
    (root / "flows" / "new.py").write_text("x = 'neu'\n")
    edit_params(root, **{"train.lr": 0.5})
    dirty = repository.current_commit()
    assert b"flows/new.py" in dirty.diff
    assert b"+  lr: 0.5" in dirty.diff
    assert b"dvc.lock" not in dirty.diff
    assert "flows/new.py" not in run(root, "git", "diff", "--cached", "--name-only").stdout


@pytest.fixture
def headstart(tree: Path) -> Callable[..., str]:
    """Run the tree's own command, which must fail, and return its output."""

    def call(*arguments: str) -> str:
        done = run(tree, str(tree / "bin" / "headstart"), *arguments, check=False)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout

    return call


def test_commands_outside_a_project_say_so(tmp_path: Path) -> None:
    done = run(tmp_path, str(Path(sys.executable).with_name("headstart")), "train", check=False)
    assert done.returncode == 1
    assert "is not in a Headstart project" in done.stdout


def test_a_wrong_key_is_named_before_any_work(tree: Path, headstart: Callable[..., str]) -> None:
    edit_params(tree, **{"train.optimiser": "sgd"})
    assert "train.optimiser is unknown; did you mean optimizer" in headstart("train")


def test_a_stage_names_the_missing_keys_of_its_own_sections(tree: Path) -> None:
    text = (tree / "params.yaml").read_text()
    without = text[: text.index("monitor:")].replace("  width: 4", "  #").replace("  margin:", "  #")
    (tree / "params.yaml").write_text(without)
    said = run(tree, str(tree / "bin" / "headstart"), "backbone").stdout
    assert "params.yaml lacks backbone.width (64): these defaults are used; `headstart upgrade` adds" in said
    assert said.count("lacks") == 1


def test_a_stage_without_its_input_names_the_file(headstart: Callable[..., str]) -> None:
    assert "artifacts/features.safetensors" in headstart("train")
