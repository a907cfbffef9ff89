"""The commands that answer without a project: in any folder, with no git, and nothing left behind."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import warm
from projects import (
    draw_images,
    run,
)
from registries import uri_of
from safetensors.torch import save_file
from templates import make_registered

import headstart as product
from headstart.cli.main import main
from headstart.errors import ArgumentError, BackboneError, HeadstartError
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors
from headstart.versions.registry import tracking
from headstart.versions.serving.classifier import Classifier
from headstart.versions.serving.packaged_code import SETTING

CHAMPION = "models:/headstart@champion"
PHOTO = "photos/light.png"
NEEDS_PROJECT = [
    "backbone", "data", "docs", "evaluate", "fix", "gate", "gc", "init-from x", "monitor x", "promote x",
    "register", "reproduce x", "review", "rollback", "run", "services status", "show", "tracking", "train",
    "trend", "guard",
]  # fmt: skip


@pytest.fixture(scope="module")
def registered(common: Path) -> Path:
    """A project with a registered champion of two classes."""
    root = common / "project"
    make_registered(root)
    return root


@pytest.fixture(scope="module")
def downloaded(registered: Path, common: Path) -> Path:
    """The champion's files, as MLflow downloads them."""
    with tracking.in_project(registered):
        found = mlflow.artifacts.download_artifacts(CHAMPION, dst_path=str(common / "downloaded"))
    return Path(found)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a photo, in no project and no repository, in which nothing is left behind."""
    folder = tmp_path / "folder"
    draw_images(folder / "drawn", {"dark": 1, "light": 1})
    (folder / "photos").mkdir()
    (folder / "drawn/light/000.png").rename(folder / PHOTO)
    shutil.rmtree(folder / "drawn")
    monkeypatch.chdir(folder)
    yield folder
    assert files_in(folder) <= {PHOTO, "answers.parquet", "page.html", "mlflow.db"}


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def say(*arguments: str, status: int = 0, **settings: str) -> str:
    """Run a command in the working folder, which must end with `status`, and return its output."""
    done = run(Path.cwd(), warm.python(), "-m", "headstart", *arguments, check=False, settings=settings)
    assert done.returncode == status, done.stdout
    return done.stdout


def fail(*arguments: str) -> str:
    """Run a command that must end with an error in this process, and return the error."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return str(ended.value)


def test_predict_answers_with_a_version_of_the_server(registered: Path, outside: Path) -> None:
    said = say("predict", "--model", "headstart@champion", PHOTO, MLFLOW_TRACKING_URI=uri_of(registered))
    assert "model: models:/headstart/1, head " in said
    assert f"{PHOTO}  light  " in said


def test_predict_answers_with_a_downloaded_folder(registered: Path, downloaded: Path, outside: Path) -> None:
    """The server is asked once for the layers that versions share."""
    command = ("predict", "--json", "--model", os.path.relpath(downloaded), PHOTO, "--explain", "page.html")
    assert "set MLFLOW_TRACKING_URI" in say(*command, status=1)
    say(*command, MLFLOW_TRACKING_URI=uri_of(registered))
    said = say(*command)
    assert json.loads(said.splitlines()[1])["label"] == "light"
    assert "not shown: they are not stored here" in (outside / "page.html").read_text()


def test_predict_answers_with_a_head_next_to_its_backbone(
    registered: Path, outside: Path, tmp_path: Path
) -> None:
    shutil.copy(registered / "artifacts/head.safetensors", tmp_path)
    model = "../head.safetensors"
    assert "there is no ../backbone.safetensors, with the frozen layers" in fail(
        "predict", "--model", model, PHOTO
    )
    shutil.copy(registered / "artifacts/backbone.safetensors", tmp_path)
    assert f"{PHOTO}  light  " in say("predict", "--model", model, PHOTO)


def test_predict_asks_for_a_model_and_for_its_server(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "name a model with --model" in fail("predict", PHOTO)
    for command in (["predict", "--model", CHAMPION, PHOTO], ["history"], ["lineage", CHAMPION]):
        assert "set MLFLOW_TRACKING_URI to the address of their tracking server" in fail(*command)
    for uri, place in (("sqlite:///none.db", "none.db"), ("none", "none"), ("file:///none", "/none")):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        said = fail("predict", "--model", CHAMPION, PHOTO)
        assert f"MLFLOW_TRACKING_URI is {uri}, but there is no {place}" in said


def test_score_writes_its_table_alone(registered: Path, outside: Path) -> None:
    said = say("score", "photos", "answers.parquet", MLFLOW_TRACKING_URI=uri_of(registered))
    assert "answers.parquet: scored 1 images by models:/headstart/1" in said
    assert pd.read_parquet(outside / "answers.parquet")["label"].tolist() == ["light"]


def test_score_runs_code_of_another_headstart_only_if_it_is_trusted(registered: Path, outside: Path) -> None:
    found = (registered / "mlflow/artifacts").rglob("served_model.py")
    [packed] = [path for path in found if path.parent.name != "serving"]
    original = packed.read_text()
    command, server = ("score", "photos", "answers.parquet"), {"MLFLOW_TRACKING_URI": uri_of(registered)}
    packed.write_text(f"{original}# changed\n")
    try:
        said = say(*command, status=1, **server)
        assert "it holds other code than this installation (served_model.py)" in said
        digest = said.partition(f"{SETTING}=")[2].split()[0]
        assert "scored 1 images" in say(*command, **server, **{SETTING: digest})
    finally:
        packed.write_text(original)


def test_lineage_history_and_compare_need_the_server_alone(registered: Path, outside: Path) -> None:
    server = {"MLFLOW_TRACKING_URI": uri_of(registered)}
    assert "random (seed 0)" in say("lineage", CHAMPION, "--html", "page.html", **server)
    assert "none -> 1 (promotion)" in say("history", **server)
    said = say("compare", "headstart/1", CHAMPION, **server)
    assert "0 of " in said
    assert "Page: " not in said
    (outside / "page.html").unlink()
    assert "Page: page.html" in say("compare", "headstart/1", CHAMPION, "--html", "page.html", **server)
    assert (outside / "page.html").exists()


def test_the_default_of_mlflow_is_used_if_it_is_there(registered: Path, outside: Path) -> None:
    with pytest.raises(ArgumentError, match="set MLFLOW_TRACKING_URI"):
        product.load(CHAMPION)
    shutil.copy(registered / "mlflow/mlflow.db", outside)
    model = product.load(CHAMPION)
    assert model.version == "models:/headstart/1"
    assert model.predict(PHOTO)["label"].tolist() == ["light"]
    assert "none -> 1 (promotion)" in say("history")
    assert not mlflow.tracking.is_tracking_uri_set()


def test_describe_plans_what_a_new_project_has_or_what_is_asked_for(
    outside: Path, registered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["describe"])
    assert "vgg16, head pooled, 2 classes" in (said := capsys.readouterr().out)
    assert "2 classes are assumed (--classes N)" in said
    main([*("describe", "--json", "--classes", "3", "--arch", "vgg11_bn", "--head", "linear")])
    found = json.loads(capsys.readouterr().out)
    assert (found["arch"], found["head"], found["classes"]) == ("vgg11_bn", "linear", 3)
    main(["describe", "--json", "--params", str(registered / "params.yaml"), "--train", "features.28"])
    found = json.loads(capsys.readouterr().out)
    assert (found["width"], found["cut"]["after"]) == (4, "features.27")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arch", "resnet"], "--arch: 'resnet' is not a VGG of torchvision"),
        (["--head", "wide"], "--head: 'wide' is unknown; expected one of"),
        (["--train", "features.99"], "--train: there is no layer 'features.99'"),
        (["--params", "none.yaml"], "--params: there is no file none.yaml"),
    ],
)
def test_describe_names_the_option_that_is_wrong(options: list[str], said: str, outside: Path) -> None:
    assert said in fail("describe", *options)


def test_options_take_precedence_over_the_projects_params(
    registered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(registered / "data")
    main(["describe", "--json", "--arch", "vgg11"])
    found = json.loads(capsys.readouterr().out)
    assert (found["arch"], found["width"], found["classes"]) == ("vgg11", 4, 2)
    monkeypatch.chdir(registered / "data")
    tensors = dict(random_tensors(vgg_layers("vgg16", 4), 3))
    save_file({**tensors, "classifier.6.bias": torch.arange(1000.0)}, registered / "data/w.safetensors")
    try:
        said = fail("classify", "light/000.png", "--weights", "w.safetensors")
        digest = said.partition("set it to ")[2]
        assert "--sha256: required for the file data/w.safetensors" in said
        monkeypatch.chdir(registered / "data")  # a command changes to the root
        main(["classify", "light/000.png", "--weights", "w.safetensors", "--sha256", digest, "--json"])
    finally:
        (registered / "data/w.safetensors").unlink()
    shown = capsys.readouterr()
    assert json.loads(shown.out)["top"][0]["index"] == 999
    assert "random" not in shown.err


def test_classify_takes_pretrained_weights_unless_told_otherwise(
    outside: Path, registered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def load(source: Backbone, weights: str, limits: object) -> Classifier:
        asked.append((source.arch, source.weights, source.sha256, weights))
        raise BackboneError(f"backbone.weights: cannot get {source.weights}")

    main(["classify", PHOTO, "--params", str(registered / "params.yaml"), "--top", "1"])
    assert "add --weights IMAGENET1K_V1" in capsys.readouterr().err
    monkeypatch.setattr(Classifier, "load", load)
    digest = "0" * 64
    assert "--weights: cannot get IMAGENET1K_V1" in fail("classify", PHOTO)
    assert "--weights: cannot get v.pth" in fail("classify", PHOTO, "--weights", "v.pth", "--sha256", digest)
    fail("classify", PHOTO, "--arch", "vgg11", "--weights", "IMAGENET1K_FEATURES")
    assert asked == [
        ("vgg16", "IMAGENET1K_V1", None, "IMAGENET1K_V1"),
        ("vgg16", "v.pth", digest, "IMAGENET1K_V1"),
        ("vgg11", "IMAGENET1K_FEATURES", None, "IMAGENET1K_FEATURES"),
    ]
    assert "--sha256: string should match pattern" in fail("classify", PHOTO, "--sha256", "12")


@pytest.mark.parametrize("command", NEEDS_PROJECT)
def test_a_command_that_needs_a_project_names_both_ways_to_one(command: str, outside: Path) -> None:
    said = fail(*command.split())
    assert f"{outside} is not in a Headstart project" in said
    assert said.endswith("; change to one, or begin one: `headstart init DIR`")


def test_a_project_from_python_is_asked_for_by_name(outside: Path) -> None:
    with pytest.raises(HeadstartError, match="is not in a Headstart project .*; name one"):
        product.Project()
